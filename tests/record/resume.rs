//! The main job: a route that knows nothing of this project becomes durable by one line.

use crate::{
    app::{App, about, ask, data, frames, id},
    client::{With as _, empty},
};

#[tokio::test]
async fn a_stream_that_is_cut_is_resumed_without_a_gap() {
    let app = App::new().await;
    let (mut answer, said) = app.start(ask("Why?").with("x-session-id", id("cut"))).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.id(), id("cut"));
    said.say("one");
    said.say("two");
    let seen = frames(answer.until("two").await);
    drop(answer); // the connection is lost
    said.say("three");
    let last = &seen.last().unwrap().0;
    let resumed = app
        .send(about("GET", &id("cut")).with("last-event-id", last))
        .await;
    assert_eq!(resumed.status(), 200);
    assert_eq!(resumed.header("content-type"), "text/event-stream");
    said.say("four");
    drop(said);
    let rest = resumed.whole().await;
    assert!(rest.clean);
    assert_eq!(data(rest.text()), ["three", "four"]);
    let second = app.send(about("GET", &id("cut"))).await.whole().await;
    assert!(second.clean);
    assert_eq!(data(second.text()), ["one", "two", "three", "four"]);
    assert_eq!(frames(second.text())[..2], seen, "the same ids for all");
    assert!(app.is_quiet().await, "the handler ran once");
}

#[tokio::test]
async fn a_handler_that_answers_sse_needs_no_change() {
    let app = App::new().await;
    let whole = app.send(empty("POST", "/greet")).await.whole().await;
    assert!(whole.clean);
    assert_eq!(data(whole.text()), ["Hel", "lo", " there", "."]);
    let session = whole.header("x-session-id");
    let uri = format!("/greet?sessionId={session}");
    let again = app.send(empty("GET", &uri)).await.whole().await;
    assert_eq!(again.text(), whole.text());
}

#[tokio::test]
async fn a_second_reader_follows_beside_the_first() {
    let app = App::new().await;
    let (mut first, said) = app.start(ask("Why?")).await;
    said.say("one");
    first.until("one").await;
    let mut second = app.send(about("GET", &first.id())).await;
    second.until("one").await;
    said.say("two");
    first.until("two").await;
    second.until("two").await;
    drop(said);
    let (first, second) = (first.whole().await, second.whole().await);
    assert!(first.clean && second.clean);
    assert_eq!(first.text(), second.text());
}

#[tokio::test]
async fn an_event_source_stops_at_the_end() {
    let app = App::new().await;
    let (answer, said) = app.start(ask("Why?")).await;
    said.say("one");
    drop(said);
    let whole = answer.whole().await;
    let (last, _) = frames(whole.text()).pop().unwrap();
    for method in ["GET", "HEAD", "POST"] {
        let request = about(method, whole.header("x-session-id"));
        let end = app
            .send(request.with("last-event-id", &last))
            .await
            .whole()
            .await;
        assert_eq!(end.status(), 204, "{method}");
        assert_eq!(end.header("x-session-status"), "complete");
        assert!(end.bytes.is_empty());
    }
}

#[tokio::test]
async fn only_what_may_be_kept_of_the_head_is_given_to_later_readers() {
    let app = App::new().await;
    let (starter, said) = app.start(ask("Why?")).await;
    assert_eq!(starter.header("set-cookie"), "secret=1");
    assert_eq!(starter.header("x-own"), "own");
    let reader = app.send(about("GET", &starter.id())).await;
    assert_eq!(reader.header("content-language"), "en");
    for head in [&starter.head, &reader.head] {
        assert_eq!(head.headers["cache-control"], "no-store, no-transform");
        assert_eq!(head.headers["x-accel-buffering"], "no");
        assert_eq!(head.headers["x-content-type-options"], "nosniff");
        assert_eq!(head.headers["x-session-status"], "streaming");
        assert!(!head.headers.contains_key("content-length"));
    }
    for name in ["set-cookie", "x-own"] {
        assert!(!reader.head.headers.contains_key(name), "{name}");
    }
    drop(said);
}

#[tokio::test]
async fn a_header_is_kept_by_name_and_the_cookie_never() {
    let app = App::with(unbroken::Sessions::in_memory(), |layer| {
        layer.keep_headers([http::header::SET_COOKIE, "x-own".parse().unwrap()])
    })
    .await;
    let (starter, _said) = app.start(ask("Why?")).await;
    let reader = app.send(about("GET", &starter.id())).await;
    assert_eq!(reader.header("x-own"), "own");
    assert!(!reader.head.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = App::new().await;
    let (starter, _said) = app.start(ask("Why?")).await;
    let head = app.send(about("HEAD", &starter.id())).await.whole().await;
    assert_eq!(head.status(), 200);
    assert_eq!(head.header("content-type"), "text/event-stream");
    assert_eq!(head.header("x-session-id"), starter.id());
    assert!(head.bytes.is_empty() && head.clean);
}

#[tokio::test]
async fn an_event_source_stops_at_a_response_without_events() {
    let app = App::new().await;
    let request = || ask("Why?").with("x-session-id", id("empty"));
    let (starter, said) = app.start(request()).await;
    drop(said);
    assert!(starter.whole().await.bytes.is_empty());
    assert_eq!(app.send(about("GET", &id("empty"))).await.status(), 204);
    // The same request gets the same response.
    assert_eq!(app.send(request()).await.status(), 200);
}

#[tokio::test]
async fn lines_and_bytes_are_resumed_by_lsn() {
    let app = App::with(unbroken::Sessions::in_memory(), |layer| {
        layer.record_type("application/octet-stream", unbroken::record::Framing::Bytes)
    })
    .await;
    for content_type in ["application/x-ndjson", "application/octet-stream"] {
        let answer = app.send_later(ask("Why?"));
        let said = app.asked().await.stream(content_type);
        let mut answer = answer.await.unwrap();
        assert_eq!(answer.header("x-first-lsn"), "3");
        said.bytes("{\"a\":1}\n");
        answer.until("1}\n").await;
        said.bytes("{\"a\":2}\n");
        answer.until("2}\n").await;
        said.bytes("{\"a\":");
        drop(said);
        let whole = answer.whole().await;
        assert_eq!(
            whole.text(),
            "{\"a\":1}\n{\"a\":2}\n{\"a\":",
            "{content_type}"
        );
        let uri = format!("/ask?sessionId={}&after=3", whole.header("x-session-id"));
        let rest = app.send(empty("GET", &uri)).await.whole().await;
        assert_eq!(rest.header("content-type"), content_type);
        assert_eq!(rest.header("x-first-lsn"), "4");
        assert_eq!(rest.text(), "{\"a\":2}\n{\"a\":");
        let uri = format!("/ask?sessionId={}&after=5", whole.header("x-session-id"));
        assert_eq!(app.send(empty("GET", &uri)).await.status(), 204);
    }
}

#[tokio::test]
async fn a_cursor_past_the_end_is_refused() {
    let app = App::new().await;
    let (answer, said) = app.start(ask("Why?")).await;
    said.say("one");
    drop(said);
    let whole = answer.whole().await;
    let at =
        |cursor: &str| about("GET", whole.header("x-session-id")).with("last-event-id", cursor);
    assert_eq!(app.send(at("99")).await.status(), 400);
    assert_eq!(app.send(at("nonsense")).await.status(), 400);
    assert_eq!(app.send(at("3.0000000")).await.status(), 409);
    assert_eq!(app.send(at("2")).await.status(), 200);
}

#[tokio::test]
async fn the_location_is_known_where_the_mount_is() {
    let app = App::with(unbroken::Sessions::in_memory(), |layer| {
        layer.public_path("/api")
    })
    .await;
    let (answer, _said) = app.start(ask("Why?")).await;
    let location = format!("/api/ask?sessionId={}", answer.id());
    assert_eq!(answer.header("content-location"), location);
    let app = App::new().await;
    let (answer, _said) = app.start(ask("Why?")).await;
    assert!(!answer.head.headers.contains_key("content-location"));
}
