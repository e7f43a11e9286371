//! Headers, query and HTTP client of the builder, as a server sees them.

use unbroken::provider::{OpenAi, http::reqwest};

use super::{KEY, Step, builder, done, finish, ok, refusal, serve, text};
use crate::stub::Stub;

fn fine() -> Vec<Step> {
    vec![ok(), text("Hi"), finish("stop"), done(), Step::End]
}

// Returns the head of the request that this provider sends to the stub.
async fn head(stub: &mut Stub, provider: OpenAi) -> String {
    let (events, error) = super::ask(provider).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events.len(), 2);
    stub.requests.recv().await.unwrap().head
}

fn assert_has(head: &str, header: &str) {
    assert!(
        head.contains(&format!("\r\n{header}\r\n")),
        "{header}: {head}"
    );
}

#[tokio::test]
async fn a_classic_azure_deployment_gets_its_path_version_and_key() {
    let mut stub = serve(fine()).await;
    let provider = OpenAi::builder()
        .azure(stub.url("/"), "gpt 5/mini", "2024-10-21")
        .api_key(KEY)
        .build()
        .unwrap();
    let head = head(&mut stub, provider).await;
    let line =
        "POST /openai/deployments/gpt%205%2Fmini/chat/completions?api-version=2024-10-21 HTTP/1.1";
    assert!(head.starts_with(line), "{head}");
    assert_has(&head, &format!("api-key: {KEY}"));
    assert!(!head.contains("authorization"), "{head}");
}

#[tokio::test]
async fn a_query_of_the_base_url_is_kept_and_the_builders_replaces_the_same_name() {
    let mut stub = serve(fine()).await;
    let base_url = stub.url("/v1/?api-version=1&tenant=a%20b");
    let provider = builder(&stub).base_url(&base_url).build().unwrap();
    let kept = head(&mut stub, provider).await;
    assert!(
        kept.starts_with("POST /v1/chat/completions?api-version=1&tenant=a%20b HTTP"),
        "{kept}"
    );
    let provider = builder(&stub)
        .base_url(base_url)
        .query("api-version", "never this one")
        .query("api-version", "2&3")
        .build()
        .unwrap();
    let replaced = head(&mut stub, provider).await;
    let line = "POST /v1/chat/completions?tenant=a+b&api-version=2%263 HTTP";
    assert!(replaced.starts_with(line), "{replaced}");
}

#[tokio::test]
async fn headers_are_sent_and_replace_those_of_the_provider() {
    let mut stub = serve(fine()).await;
    let provider = builder(&stub)
        .header("X-Team", "never this one")
        .header("x-team", "models")
        .header("Authorization", "Basic abc")
        .header("Accept", "text/event-stream, application/json")
        .build()
        .unwrap();
    let head = head(&mut stub, provider).await;
    assert_has(&head, "x-team: models");
    assert_has(&head, "authorization: Basic abc");
    assert_has(&head, "accept: text/event-stream, application/json");
    assert_has(&head, "content-type: application/json");
    assert!(!head.contains(KEY) && !head.contains("never"), "{head}");
}

#[tokio::test]
async fn a_client_of_ones_own_brings_its_proxy_and_its_headers() {
    let mut stub = serve(fine()).await;
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("x-client", "mine".parse().unwrap());
    headers.insert("accept", "never/this-one".parse().unwrap());
    let client = reqwest::Client::builder()
        .proxy(reqwest::Proxy::all(stub.url("")).unwrap())
        .default_headers(headers)
        .build()
        .unwrap();
    let provider = builder(&stub)
        .base_url("http://models.invalid/v1")
        .http_client(client)
        .build()
        .unwrap();
    let head = head(&mut stub, provider).await;
    let line = "POST http://models.invalid/v1/chat/completions HTTP/1.1";
    assert!(
        head.starts_with(line),
        "the proxy sees the whole address: {head}"
    );
    assert_has(&head, "x-client: mine");
    assert_has(&head, "accept: text/event-stream");
    assert_has(&head, &format!("authorization: Bearer {KEY}"));
}

#[tokio::test]
async fn redirects_are_followed_by_a_client_that_follows_them_only() {
    let mut target = serve(fine()).await;
    let location = format!("location: {}\r\n", target.url("/v1/chat/completions"));
    let stub = serve(vec![refusal("307 Temporary Redirect", &location, "")]).await;
    let error = super::ask(builder(&stub).build().unwrap()).await.1.unwrap();
    assert!(error.to_string().contains("refused the request"), "{error}");
    assert!(target.requests.try_recv().is_err());
    let client = reqwest::Client::new();
    let provider = builder(&stub).http_client(client).build().unwrap();
    let (events, error) = super::ask(provider).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events.len(), 2);
    assert_eq!(target.requests.recv().await.unwrap().body["model"], "small");
}

#[tokio::test(start_paused = true)]
async fn a_read_timeout_of_a_client_of_ones_own_is_a_silence() {
    let stub = serve(vec![ok(), text("Hi"), Step::Silence]).await;
    let client = reqwest::Client::builder()
        .read_timeout(super::GUARD / 4)
        .build()
        .unwrap();
    let provider = builder(&stub).http_client(client).build().unwrap();
    let (events, error) = super::ask(provider).await;
    assert_eq!(events.len(), 1);
    assert_eq!(error.unwrap().code(), unbroken::log::ErrorCode::Timeout);
}
