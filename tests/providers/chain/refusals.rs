//! Requests that the other server refuses, or can't answer now.

use std::time::Duration;

use axum::{Router, body::Body};
use http::{Request, Response};
use unbroken::log::ErrorCode;

use super::{outer::provider, *};
use crate::stub::{Step, serve_in_turn};

/// A server that refuses each request so.
fn refusing(status: u16, retry_after: Option<&'static str>) -> Router {
    Router::new().fallback(move |_: Request<Body>| async move {
        let mut response = Response::builder().status(status);
        if let Some(after) = retry_after {
            response = response.header("retry-after", after);
        }
        let body = json!({"type": "urn:unbroken:x", "title": "Sekret", "status": status, "detail": "Sekret"});
        let response = response.header("content-type", "application/problem+json");
        response.body(Body::from(body.to_string())).unwrap()
    })
}

#[tokio::test]
async fn each_refusal_has_a_message_of_its_own_and_none_of_the_servers_words() {
    for (status, says, recoverable) in [
        (400, "refused the request", false),
        (401, "credentials", false),
        (403, "credentials", false),
        (404, "no server of answers", false),
        (409, "has another request", false),
        (410, "was deleted", true),
        (413, "too long", false),
        (422, "doesn't open", false),
        (429, "asked too much", true),
        (500, "has failed", true),
        (503, "isn't ready", true),
        (307, "refused the request", false),
        (204, "refused the request", false),
    ] {
        let server = InnerServer::start(refusing(status, None)).await;
        let provider = UnbrokenUpstream::builder(server.url())
            .retries(0)
            .build()
            .unwrap();
        let error = ask(&provider, ChatRequest::from_user("Hi"))
            .await
            .unwrap_err();
        assert!(error.message().contains(says), "{status}: {error}");
        assert_eq!(error.is_recoverable(), recoverable, "{status}");
        assert_eq!(error.code(), ErrorCode::Provider, "{status}");
        assert!(!format!("{error:?}").contains("Sekret"), "{error:?}");
        // A deleted answer of the same request is left alone, a few times.
        let posts = if status == 410 { 9 } else { 1 };
        assert_eq!(server.count("POST", ""), posts, "{status}");
    }
}

#[tokio::test]
async fn a_wait_that_the_server_asks_for_is_told_and_kept() {
    let server = InnerServer::start(refusing(429, Some("40"))).await;
    let error = ask(&provider(&server), ChatRequest::from_user("Hi"))
        .await
        .unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(40)));
    assert!(error.message().ends_with("try again, in 40 s"), "{error}");
    assert_eq!(server.seen().len(), 1, "that is too long to wait");

    let server = InnerServer::start(refusing(503, Some("0"))).await;
    ask(&provider(&server), ChatRequest::from_user("Hi"))
        .await
        .unwrap_err();
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_field_that_is_closed_there_is_an_error() {
    let model = GatedModel::new(all_kinds());
    let server = InnerServer::start(mounted(Sessions::in_memory(), model.provider())).await;
    let closed = UnbrokenUpstream::builder(server.url())
        .model("m")
        .build()
        .unwrap();
    let error = ask(&closed, ChatRequest::from_user("Hi"))
        .await
        .unwrap_err();
    assert!(error.message().contains("doesn't open"), "{error}");
    assert_eq!((model.calls(), server.seen().len()), (0, 1));
}

#[tokio::test]
async fn a_request_whose_connection_breaks_is_repeated_as_it_was_under_the_same_id() {
    let lines = [
        r#"{"lsn":1,"event":{"type":"session_info","capabilities":{}}}"#,
        r#"{"lsn":2,"event":{"type":"text","content":"Hi"}}"#,
        r#"{"lsn":3,"event":{"type":"complete","finishReason":"stop"}}"#,
    ];
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
    let whole = vec![
        Step::Raw(head.into()),
        Step::Chunk(format!("{}\n", lines.join("\n")).into_bytes()),
        Step::End,
    ];
    let mut stub = serve_in_turn(vec![vec![Step::Cut], whole]).await;
    let provider = UnbrokenUpstream::new(stub.url("/chat")).unwrap();
    let events = ask(&provider, ChatRequest::from_user("Hi")).await.unwrap();
    assert_eq!(
        told(&events),
        told(&[ChatEvent::text("Hi"), ChatEvent::complete()])
    );
    let id = |head: &str| {
        let line = head.lines().find(|line| line.starts_with("x-session-id: "));
        line.unwrap().to_owned()
    };
    let (one, two) = (
        stub.requests.recv().await.unwrap(),
        stub.requests.recv().await.unwrap(),
    );
    assert_eq!(id(&one.head), id(&two.head));
    assert_eq!(one.body, two.body);
}

#[tokio::test]
async fn what_is_no_log_is_named() {
    for (content_type, body, says) in [
        ("text/html", "<html>Sekret", "web page"),
        (
            "application/json",
            "{\"id\":\"Sekret\",\"tail\":1}",
            "JSON that is no answer",
        ),
        ("text/plain", "Sekret", "plain text"),
    ] {
        let app = Router::new().fallback(move |_: Request<Body>| async move {
            let response = Response::builder().header("content-type", content_type);
            response.body(Body::from(body)).unwrap()
        });
        let server = InnerServer::start(app).await;
        let error = ask(&provider(&server), ChatRequest::from_user("Hi"))
            .await
            .unwrap_err();
        assert!(error.message().contains(says), "{content_type}: {error}");
        assert!(!format!("{error:?}").contains("Sekret"), "{error:?}");
        assert!(server.reads().is_empty());
    }
}
