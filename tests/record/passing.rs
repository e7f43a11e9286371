//! Responses that pass unrecorded.

use axum::{body::Body, response::IntoResponse as _};
use http::{StatusCode, header};
use unbroken::{session::Sessions, store::Memory};
use unbroken_conformance::{Fault, FaultStore, Op};

use crate::{
    app::{App, about, ask, data, id},
    client::{With as _, empty, get},
};

#[tokio::test]
async fn other_requests_pass_untouched() {
    let app = App::new().await;
    let page = app.send(get("/page")).await.whole().await;
    assert_eq!(page.text(), "a page");
    assert!(!page.head.headers.contains_key("x-session-id"));
    assert!(!page.head.headers.contains_key("cache-control"));
    assert_eq!(app.send(get("/nowhere")).await.status(), 404);
    let wrong = app.send(get("/ask")).await;
    assert_eq!(wrong.status(), 405);
    assert_eq!(app.send(empty("OPTIONS", "/ask")).await.status(), 405);
}

#[tokio::test]
async fn a_response_that_is_no_success_passes_and_the_id_is_free_again() {
    let app = App::new().await;
    let request = || ask("Why?").with("x-session-id", id("busy"));
    let answer = app.send_later(request());
    let busy = (
        StatusCode::TOO_MANY_REQUESTS,
        [(header::RETRY_AFTER, "7")],
        "later",
    );
    app.asked().await.respond(busy);
    let answer = answer.await.unwrap().whole().await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.header("retry-after"), "7");
    assert_eq!(answer.text(), "later");
    assert!(!answer.head.headers.contains_key("x-session-id"));
    assert_eq!(app.send(about("GET", &id("busy"))).await.status(), 404);
    // Another request may have the id.
    let (answer, said) = app
        .start(ask("Who?").with("x-session-id", id("busy")))
        .await;
    said.say("one");
    drop(said);
    assert_eq!(data(answer.whole().await.text()), ["one"]);
}

#[tokio::test]
async fn the_id_of_a_response_that_passed_is_free_for_another_request_at_once() {
    let store = FaultStore::new(Memory::new());
    let slow = Fault::PauseBefore(std::time::Duration::from_millis(100));
    store.faults().next(Op::Delete, slow);
    let app = App::with(Sessions::builder(store).build(), |layer| layer).await;
    let answer = app.send_later(ask("Wy?").with("x-session-id", id("free")));
    app.asked()
        .await
        .respond((StatusCode::UNPROCESSABLE_ENTITY, "a typo"));
    assert_eq!(answer.await.unwrap().whole().await.status(), 422);
    let (answer, said) = app
        .start(ask("Why?").with("x-session-id", id("free")))
        .await;
    said.say("one");
    drop(said);
    assert_eq!(data(answer.whole().await.text()), ["one"]);
}

#[tokio::test]
async fn a_response_of_another_type_passes() {
    let app = App::new().await;
    let answer = app.send_later(ask("Why?"));
    app.asked()
        .await
        .respond(([(header::CONTENT_TYPE, "application/json")], "{}"));
    let answer = answer.await.unwrap().whole().await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text(), "{}");
    assert_eq!(answer.header("content-length"), "2");
}

#[tokio::test]
async fn all_that_wait_for_a_response_that_passes_get_one_of_their_own() {
    let store = Memory::new();
    let (here, there) = (App::on(&store).await, App::on(&store).await);
    let request = || ask("Why?").with("x-session-id", id("own"));
    let first = here.send_later(request());
    let asked = here.asked().await;
    let (second, third) = (here.send_later(request()), there.send_later(request()));
    // Long enough for both to attach; if they don't in time, they start anew just the same.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    asked.respond((StatusCode::BAD_GATEWAY, "first"));
    assert_eq!(first.await.unwrap().whole().await.text(), "first");
    // One of them starts, and the other attaches to that.
    let (here, there) = (here.asked(), there.asked());
    let asked = tokio::select! { asked = here => asked, asked = there => asked };
    let said = asked.events();
    said.say("one");
    drop(said);
    for answer in [second, third] {
        let whole = answer.await.unwrap().whole().await;
        assert_eq!(data(whole.text()), ["one"]);
    }
}

#[tokio::test]
async fn a_compressed_response_is_refused() {
    let app = App::new().await;
    let respond = |encoding: &'static str| {
        let head = [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CONTENT_ENCODING, encoding),
            (header::CONTENT_LENGTH, "9"),
            (header::CONNECTION, "x-hop"),
            (header::HeaderName::from_static("x-hop"), "1"),
        ];
        (head, Body::from("data: x\n\n")).into_response()
    };
    let answer = app.send_later(ask("Why?"));
    app.asked().await.respond(respond("gzip"));
    let answer = answer.await.unwrap().whole().await;
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.json()["type"], "urn:unbroken:encoded");
    let answer = app.send_later(ask("Why?"));
    app.asked().await.respond(respond("identity"));
    let answer = answer.await.unwrap().whole().await;
    assert_eq!(answer.status(), 200);
    assert_eq!(data(answer.text()), ["x"]);
    assert!(
        !answer.head.headers.contains_key("content-length"),
        "ids make it longer"
    );
    assert!(
        !answer.head.headers.contains_key("x-hop"),
        "the connection names it"
    );
}
