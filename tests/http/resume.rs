//! Resumes from cursors.

use serde_json::{Value, json};

use crate::{
    client::{With, empty, get, kinds, lsns, ndjson, post, send, sse},
    server::{MOUNT, Server, ask, at, driven, follow, id, scripted},
};

async fn finished(server: &Server, name: &str, tokens: u32) -> String {
    let body = follow(&json!({"tokens": tokens, "delayMs": 0}));
    let request = post(MOUNT, &body).with("x-session-id", id(name));
    assert!(send(server.addr, request).await.whole().await.clean);
    id(name)
}

#[tokio::test]
async fn a_client_resumes_after_the_last_lsn() {
    let (server, calls) = driven().await;
    let mut answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let call = calls.next().await;
    call.say("one");
    answer.until("one").await;
    let id = answer.id();
    drop(answer);
    call.say("two");
    drop(call);
    let by_header = get(&at(&id)).with("x-last-lsn", "2");
    let by_query = get(&format!("{}?after=2", at(&id)));
    let by_post = post(MOUNT, &json!("ignored"))
        .with("x-session-id", &id)
        .with("x-last-lsn", "2");
    for request in [by_header, by_query, by_post] {
        let rest = send(server.addr, request).await.whole().await;
        let events = ndjson(rest.text());
        assert_eq!(lsns(&events), [3, 4]);
        assert_eq!(kinds(&events), ["text", "complete"]);
        assert!(rest.clean);
    }
    assert!(calls.none().await);
}

#[tokio::test]
async fn an_event_source_resumes_by_its_last_id_and_stops_at_the_end() {
    let server = scripted().await;
    let id = finished(&server, "event-source", 5).await;
    let request = || get(&at(&id)).with("accept", "text/event-stream");
    let whole = send(server.addr, request()).await.whole().await;
    assert_eq!(whole.header("content-type"), "text/event-stream");
    assert!(whole.text().starts_with("retry: 1000\n\n"));
    assert!(!whole.text().contains("event:"));
    let events = sse(whole.text());
    assert_eq!(events.len(), 7);
    for (at, (event_id, _)) in events.iter().enumerate() {
        let bare = (at + 1).to_string();
        assert_eq!(event_id.split_once('.').unwrap().0, bare);
        for cursor in [event_id, &bare] {
            let request = request()
                .with("last-event-id", cursor)
                .with("x-last-lsn", "1");
            let rest = send(server.addr, request).await.whole().await;
            assert_eq!(sse(rest.text()), events[at + 1..], "after {cursor}");
            let status = if at == 6 { 204 } else { 200 };
            assert_eq!(rest.status(), status);
        }
    }
}

#[tokio::test]
async fn at_the_terminal_event_every_stream_is_204_without_a_body() {
    let server = scripted().await;
    let id = finished(&server, "at-the-end", 1).await;
    for accept in ["application/x-ndjson", "text/event-stream", "*/*"] {
        for method in ["GET", "HEAD"] {
            let request = empty(method, &at(&id))
                .with("accept", accept)
                .with("x-last-lsn", "3");
            let end = send(server.addr, request).await.whole().await;
            assert_eq!(end.status(), 204);
            assert_eq!(end.header("x-session-status"), "complete");
            assert_eq!(end.header("x-session-tail"), "3");
            assert!(end.bytes.is_empty() && end.clean);
        }
    }
    let reconnect = post(MOUNT, &json!(null))
        .with("x-session-id", &id)
        .with("x-last-lsn", "3");
    assert_eq!(send(server.addr, reconnect).await.status(), 204);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = scripted().await;
    let id = finished(&server, "head", 3).await;
    for accept in [
        "application/x-ndjson",
        "text/event-stream",
        "application/json",
    ] {
        let head = send(server.addr, empty("HEAD", &at(&id)).with("accept", accept)).await;
        let got = send(server.addr, get(&at(&id)).with("accept", accept)).await;
        let (head, got) = (head.whole().await, got.whole().await);
        assert_eq!(head.status(), 200);
        assert!(head.bytes.is_empty() && head.clean);
        for name in ["content-type", "x-session-id", "x-session-tail", "vary"] {
            assert_eq!(head.header(name), got.header(name));
        }
        if accept == "application/json" {
            assert_eq!(head.header("content-length"), got.bytes.len().to_string());
        } else {
            assert!(!head.head.headers.contains_key("content-length"));
        }
    }
}

/// The part of a body that a client keeps when its connection is lost: the whole events, and the cursor
/// of the last one.
type Kept = (Vec<(u64, Value)>, Option<String>);

fn kept_ndjson(bytes: &[u8]) -> Kept {
    let end = bytes
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |at| at + 1);
    let events = ndjson(std::str::from_utf8(&bytes[..end]).unwrap());
    let cursor = events.last().map(|(lsn, _)| lsn.to_string());
    (events, cursor)
}

fn kept_sse(bytes: &[u8]) -> Kept {
    let end = bytes
        .windows(2)
        .rposition(|it| it == b"\n\n")
        .map_or(0, |at| at + 2);
    let events = sse(std::str::from_utf8(&bytes[..end]).unwrap());
    let cursor = events.last().map(|(id, _)| id.clone());
    (numbered(events), cursor)
}

fn numbered(events: Vec<(String, Value)>) -> Vec<(u64, Value)> {
    events
        .into_iter()
        .map(|(id, event)| (id.split_once('.').unwrap().0.parse().unwrap(), event))
        .collect()
}

async fn cut_everywhere(accept: &str, cursor_header: &str, kept: fn(&[u8]) -> Kept) {
    let server = scripted().await;
    let id = finished(&server, "cut", 48).await;
    let request = || get(&at(&id)).with("accept", accept);
    let whole = send(server.addr, request()).await.whole().await;
    let (all, _) = kept(&whole.bytes);
    assert_eq!(lsns(&all), (1..=50).collect::<Vec<_>>());
    for cut in 0..=whole.bytes.len() {
        let (mut events, cursor) = kept(&whole.bytes[..cut]);
        let request = match &cursor {
            Some(cursor) => request().with(cursor_header, cursor),
            None => request(),
        };
        let rest = send(server.addr, request).await.whole().await;
        assert!(rest.clean);
        assert_eq!(rest.status(), if events.len() == 50 { 204 } else { 200 });
        events.extend(kept(&rest.bytes).0);
        assert_eq!(events, all, "cut at byte {cut}");
    }
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_resumed_without_loss_in_ndjson() {
    cut_everywhere("application/x-ndjson", "x-last-lsn", kept_ndjson).await;
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_resumed_without_loss_in_sse() {
    cut_everywhere("text/event-stream", "last-event-id", kept_sse).await;
}

#[tokio::test]
async fn an_answer_that_is_cut_while_it_runs_is_resumed_at_every_event() {
    let (server, calls) = driven().await;
    let mut answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
    let (id, call) = (answer.id(), calls.next().await);
    answer.until("session_info").await;
    let mut events = Vec::new();
    for n in 0..20 {
        call.say(&format!("word {n}."));
        let read = answer.until(&format!("word {n}.\"}}}}\n")).await;
        events.extend(ndjson(read));
        // The connection is lost; the next one has the cursor only.
        let last = events.last().unwrap().0.to_string();
        answer = send(server.addr, get(&at(&id)).with("x-last-lsn", last)).await;
    }
    drop(call);
    events.extend(ndjson(answer.whole().await.text()));
    assert_eq!(lsns(&events), (1..=22).collect::<Vec<_>>());
}
