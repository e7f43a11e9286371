use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    dialect::{DurableStreams, Native},
    durable::{ClientFields, DurableLayer, DurableService, SessionBody},
    provider::Scripted,
    session::Sessions,
};

type Chat = DurableService<Scripted>;

fn layer(sessions: &Sessions, name: &'static str) -> DurableLayer {
    DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
        .service_name(name)
        .public_path(&format!("/{name}"))
        .client_fields(ClientFields::nothing().field("script").history(1024 * 1024))
}

/// Returns a chat over Durable Streams and one in the native dialect, over one registry.
fn both() -> (Chat, Chat) {
    let sessions = Sessions::in_memory();
    let streams = layer(&sessions, "streams").dialect(DurableStreams::new());
    let native = layer(&sessions, "native").dialect(Native::new());
    (
        streams.layer(Scripted::default()),
        native.layer(Scripted::default()),
    )
}

async fn ask(
    chat: &Chat,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Response<SessionBody> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    chat.clone().oneshot(request).await.unwrap()
}

async fn get(chat: &Chat, uri: &str) -> Response<SessionBody> {
    ask(chat, "GET", uri, &[], &Value::Null).await
}

async fn text(response: Response<SessionBody>) -> String {
    let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

async fn elements(response: Response<SessionBody>) -> Vec<Value> {
    serde_json::from_str(&text(response).await).unwrap()
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn request(script: &Value) -> Value {
    json!({ "messages": [{ "role": "user", "content": "Hi" }], "script": script })
}

/// Starts a session, and returns the path of its stream.
async fn start(chat: &Chat, script: &Value) -> String {
    let started = ask(chat, "POST", "/", &[JSON], &request(script)).await;
    assert_eq!(started.status(), StatusCode::CREATED);
    let location = value(started.headers(), "location").unwrap().to_owned();
    let document: Value = serde_json::from_str(&text(started).await).unwrap();
    assert_eq!(document["streamUrl"], location);
    let id = location.strip_prefix("/streams").unwrap().to_owned();
    assert_eq!(document["id"], id[1..]);
    id
}

/// Starts a session, and returns the path of its stream once it has ended.
async fn finished(chat: &Chat) -> String {
    let stream = start(chat, &json!({ "text": "One two three.", "delayMs": 0 })).await;
    let live = get(chat, &format!("{stream}?offset=-1&live=sse")).await;
    assert!(text(live).await.contains("streamClosed"));
    stream
}

#[tokio::test]
async fn a_stream_holds_the_events_of_the_log_and_closes_with_the_last_one() {
    let (chat, native) = both();
    let stream = finished(&chat).await;
    let page = ask(
        &native,
        "GET",
        &stream,
        &[("accept", "application/json")],
        &Value::Null,
    )
    .await;
    let page: Value = serde_json::from_str(&text(page).await).unwrap();
    let events: Vec<_> = page["events"].as_array().unwrap().iter().collect();

    let all = get(&chat, &stream).await;
    let headers = all.headers().clone();
    assert_eq!(value(&headers, "content-type"), Some("application/json"));
    assert_eq!(value(&headers, "stream-up-to-date"), Some("true"));
    assert_eq!(value(&headers, "stream-closed"), Some("true"));
    let elements = elements(all).await;
    let logged: Vec<_> = events.iter().map(|event| event["event"].clone()).collect();
    assert_eq!(elements, logged);
    assert_eq!(elements.last().unwrap()["type"], "complete");

    let end = value(&headers, "stream-next-offset").unwrap();
    let rest = get(&chat, &format!("{stream}?offset={end}")).await;
    assert_eq!(rest.status(), StatusCode::OK);
    assert_eq!(value(rest.headers(), "stream-next-offset"), Some(end));
    assert_eq!(value(rest.headers(), "stream-closed"), Some("true"));
    assert_eq!(text(rest).await, "[]");
}

#[tokio::test]
async fn a_log_too_long_for_one_response_is_read_in_several() {
    let (chat, _) = both();
    let stream = start(&chat, &json!({ "tokens": 12_000, "delayMs": 0 })).await;
    let live = get(&chat, &format!("{stream}?offset=-1&live=sse")).await;
    text(live).await;
    let first = get(&chat, &stream).await;
    let headers = first.headers().clone();
    assert_eq!(value(&headers, "stream-up-to-date"), None);
    assert_eq!(value(&headers, "stream-closed"), None);
    let offset = value(&headers, "stream-next-offset").unwrap();
    let rest = get(&chat, &format!("{stream}?offset={offset}")).await;
    assert_eq!(value(rest.headers(), "stream-up-to-date"), Some("true"));
    assert_eq!(value(rest.headers(), "stream-closed"), Some("true"));
    let (first, rest) = (elements(first).await, elements(rest).await);
    assert_eq!(first.len() + rest.len(), 12_002);
    assert_eq!(rest.last().unwrap()["type"], "complete");
}

#[tokio::test]
async fn an_unchanged_response_is_not_sent_again() {
    let (chat, _) = both();
    let stream = finished(&chat).await;
    let first = get(&chat, &stream).await;
    let etag = value(first.headers(), "etag").unwrap().to_owned();
    assert!(etag.starts_with(&format!("\"{}:", &stream[1..])) && etag.ends_with(":c\""));
    let known = [("if-none-match", &*etag)];
    let again = ask(&chat, "GET", &stream, &known, &Value::Null).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(value(again.headers(), "etag"), Some(&*etag));
    assert!(http_body::Body::is_end_stream(again.body()));
    let after = format!("{stream}?offset=3");
    let other = ask(&chat, "GET", &after, &known, &Value::Null).await;
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_read_from_now_does_not_release_the_session() {
    let sessions = Sessions::builder(unbroken::store::Memory::new())
        .retention(unbroken::session::Retention::until_released().grace(Duration::ZERO))
        .build();
    let chat = layer(&sessions, "streams")
        .dialect(DurableStreams::new())
        .layer(Scripted::default());
    let stream = start(&chat, &json!({ "text": "One.", "delayMs": 0 })).await;
    for _ in 0..200 {
        let head = ask(&chat, "HEAD", &stream, &[], &Value::Null).await;
        assert_eq!(head.status(), StatusCode::OK);
        assert!(value(head.headers(), "stream-next-offset").is_some());
        if value(head.headers(), "stream-closed").is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let now = get(&chat, &format!("{stream}?offset=now")).await;
    assert_eq!(value(now.headers(), "stream-closed"), Some("true"));
    assert!(now.headers().get(header::ETAG).is_none());
    assert_eq!(text(now).await, "[]");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let all = get(&chat, &stream).await;
    assert_eq!(all.status(), StatusCode::OK, "it is still there");
    assert_eq!(elements(all).await.last().unwrap()["type"], "complete");
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_waits_until_its_limit_or_the_next_element() {
    let (chat, _) = both();
    let slow = json!({ "text": "One two.", "delayMs": 30_000 });
    let stream = start(&chat, &slow).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let at = tokio::time::Instant::now();
    let uri = format!("{stream}?offset=now&live=long-poll&cursor=41");
    let nothing = get(&chat, &uri).await;
    assert_eq!(nothing.status(), StatusCode::NO_CONTENT);
    assert_eq!(at.elapsed().as_secs(), 20);
    let headers = nothing.headers();
    assert_eq!(value(headers, "stream-cursor"), Some("42"));
    assert_eq!(value(headers, "stream-up-to-date"), Some("true"));
    assert_eq!(value(headers, "stream-closed"), None);
    let offset = value(headers, "stream-next-offset").unwrap();
    let uri = format!("{stream}?offset={offset}&live=long-poll");
    let something = get(&chat, &uri).await;
    assert_eq!(something.status(), StatusCode::OK);
    assert_eq!(elements(something).await[0]["type"], "text");
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_after_a_minute_and_its_client_resumes() {
    let (chat, _) = both();
    let slow = json!({ "tokens": 20, "delayMs": 9_000 });
    let stream = start(&chat, &slow).await;
    let mut all = Vec::new();
    let (mut offset, mut connections) = ("-1".to_owned(), 0);
    loop {
        let at = tokio::time::Instant::now();
        let live = get(&chat, &format!("{stream}?offset={offset}&live=sse")).await;
        let read = text(live).await;
        connections += 1;
        for event in read.split("\n\n") {
            if let Some(data) = event.strip_prefix("event: data\ndata:") {
                all.extend(serde_json::from_str::<Vec<Value>>(data).unwrap());
            } else if let Some(control) = event.strip_prefix("event: control\ndata:") {
                let control: Value = serde_json::from_str(control).unwrap();
                offset = control["streamNextOffset"].as_str().unwrap().to_owned();
            }
        }
        if read.contains("streamClosed") {
            break;
        }
        assert_eq!(at.elapsed().as_secs(), 60);
    }
    assert_eq!(connections, 4);
    assert_eq!(all, elements(get(&chat, &stream).await).await);
}

#[tokio::test]
async fn a_live_read_at_the_end_is_closed_at_once() {
    let (chat, _) = both();
    let stream = finished(&chat).await;
    let all = get(&chat, &stream).await;
    let end = value(all.headers(), "stream-next-offset")
        .unwrap()
        .to_owned();
    let sse = get(&chat, &format!("{stream}?offset={end}&live=sse")).await;
    assert_eq!(
        value(sse.headers(), "content-type"),
        Some("text/event-stream")
    );
    let expected = format!(
        "event: control\ndata:{{\"streamNextOffset\":\"{end}\",\"upToDate\":true,\"streamClosed\":true}}\n\n"
    );
    assert_eq!(text(sse).await, expected);
    let poll = get(&chat, &format!("{stream}?offset={end}&live=long-poll")).await;
    assert_eq!(poll.status(), StatusCode::NO_CONTENT);
    assert_eq!(value(poll.headers(), "stream-closed"), Some("true"));
}

#[tokio::test]
async fn unknown_streams_and_offsets_are_refused() {
    let (chat, _) = both();
    let stream = finished(&chat).await;
    for (uri, status) in [
        (
            "/an-id-that-nobody-has-00".to_owned(),
            StatusCode::NOT_FOUND,
        ),
        (format!("{stream}?offset=99"), StatusCode::BAD_REQUEST),
        (
            format!("{stream}?offset=00000000000000000003.0000000"),
            StatusCode::CONFLICT,
        ),
    ] {
        let refused = get(&chat, &uri).await;
        assert_eq!(refused.status(), status, "{uri}");
        assert_eq!(
            value(refused.headers(), "x-content-type-options"),
            Some("nosniff")
        );
    }
    let write = ask(&chat, "POST", &stream, &[JSON], &json!([1])).await;
    assert_eq!(write.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(value(write.headers(), "allow"), Some("GET, HEAD, OPTIONS"));
}

#[cfg(feature = "ai-sdk")]
#[tokio::test]
async fn a_read_from_any_offset_has_the_chunks_of_the_full_stream() {
    let sessions = Sessions::in_memory();
    let chat = layer(&sessions, "streams")
        .dialect(DurableStreams::ui_messages(unbroken::dialect::AiSdk::new()))
        .secret_chat_ids()
        .layer(Scripted::default());
    let message =
        json!({ "id": "m1", "role": "user", "parts": [{ "type": "text", "text": "Hi" }] });
    let script = json!({ "text": "One two three.", "thinking": "Hm.", "delayMs": 0 });
    let request =
        json!({ "id": "chat-4kq8z1m0v7x2c5b9n3", "messages": [message], "script": script });
    let started = ask(&chat, "POST", "/", &[JSON], &request).await;
    assert_eq!(started.status(), StatusCode::CREATED);
    let location = value(started.headers(), "location").unwrap();
    let stream = location.strip_prefix("/streams").unwrap().to_owned();
    let mut live = get(&chat, &format!("{stream}?offset=-1&live=sse"))
        .await
        .into_body();
    while live.frame().await.is_some() {}

    let all = get(&chat, &stream).await;
    let tail: u64 = value(all.headers(), "x-session-tail")
        .unwrap()
        .parse()
        .unwrap();
    let all = elements(all).await;
    assert_eq!(all[0]["type"], "start");
    assert_eq!(all.last().unwrap()["type"], "finish");
    let mut counts = Vec::new();
    for lsn in 0..=tail {
        let rest = get(&chat, &format!("{stream}?offset={lsn}")).await;
        let rest = elements(rest).await;
        assert_eq!(rest, all[all.len() - rest.len()..], "after {lsn}");
        counts.push(rest.len());
    }
    assert!(counts.is_sorted_by(|a, b| a >= b) && counts.first() != counts.last());

    let idle = get(&chat, "/chat-4kq8z1m0v7x2c5b9n3/stream").await;
    assert_eq!(idle.status(), StatusCode::NO_CONTENT);
}
