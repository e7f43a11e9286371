//! One request runs once, however often it is sent.

use unbroken::{
    access::OnlyTheOwner,
    log::{Owner, SessionId},
    session::Sessions,
    store::Memory,
};

use crate::{
    app::{App, about, ask, data, id},
    client::{With as _, post},
};

#[tokio::test]
async fn a_double_post_runs_the_handler_once() {
    let app = App::new().await;
    let request = || ask("Why?").with("x-session-id", id("double"));
    let (first, second) = (app.send_later(request()), app.send_later(request()));
    let asked = app.asked().await;
    assert_eq!(asked.body, "Why?");
    let said = asked.events();
    said.say("one");
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    drop(said);
    let third = app.send(request()).await;
    for answer in [first, second, third] {
        let whole = answer.whole().await;
        assert!(whole.clean);
        assert_eq!(data(whole.text()), ["one"]);
    }
    assert!(app.is_quiet().await);
}

#[tokio::test]
async fn a_double_post_to_two_servers_runs_the_handler_once() {
    let store = Memory::new();
    let (here, there) = (App::on(&store).await, App::on(&store).await);
    let request = || ask("Why?").with("x-session-id", id("servers"));
    let first = here.send_later(request());
    let asked = here.asked().await;
    // The other server waits for the head, too.
    let second = there.send_later(request());
    let said = asked.events();
    said.say("one");
    let first = first.await.unwrap();
    let mut second = second.await.unwrap();
    second.until("one").await;
    said.say("two");
    drop(said);
    for answer in [first, second] {
        let whole = answer.whole().await;
        assert!(whole.clean);
        assert_eq!(data(whole.text()), ["one", "two"]);
    }
    assert!(there.is_quiet().await && here.is_quiet().await);
}

#[tokio::test]
async fn another_request_under_the_id_is_a_conflict() {
    let app = App::new().await;
    let (_answer, _said) = app
        .start(ask("Why?").with("x-session-id", id("taken")))
        .await;
    for other in [
        ask("Who?").with("x-session-id", id("taken")),
        ask("Why?")
            .with("x-session-id", id("taken"))
            .with("content-type", "text/html"),
        post("/greet", &serde_json::json!("Why?")).with("x-session-id", id("taken")),
    ] {
        assert_eq!(app.send(other).await.status(), 409);
    }
    let same = ask("Why?").with("x-session-id", id("taken"));
    assert_eq!(app.send(same).await.status(), 200);
    let by_query = http::Request::post(format!("/ask?sessionId={}", id("taken")))
        .header("content-type", "text/plain")
        .body("Why?".to_owned().into())
        .unwrap();
    assert_eq!(
        app.send(by_query).await.status(),
        200,
        "the id is no part of the request"
    );
    assert!(app.is_quiet().await);
}

#[tokio::test]
async fn a_key_is_an_id_where_the_layer_takes_it() {
    let app = App::with(Sessions::in_memory(), |layer| layer.idempotency_keys(true)).await;
    let key = "k".repeat(22);
    let request = || ask("Why?").with("idempotency-key", &key);
    let (first, said) = app.start(request()).await;
    let second = app.send(request()).await;
    assert_eq!(first.id(), second.id());
    assert_eq!(
        app.send(ask("Who?").with("idempotency-key", &key))
            .await
            .status(),
        409
    );
    let short = ask("Why?").with("idempotency-key", "k".repeat(21));
    assert_eq!(app.send(short).await.status(), 400, "others could guess it");
    drop(said);
    assert!(app.is_quiet().await);
}

#[tokio::test]
async fn a_short_key_is_enough_for_an_owner() {
    let sessions = Sessions::in_memory();
    let access = OnlyTheOwner::new(|head: &mut http::request::Parts| {
        Some(Owner::new(head.headers.get("x-user")?.to_str().ok()?))
    });
    let layer = unbroken::record::RecordLayer::new(sessions.clone(), access).idempotency_keys(true);
    let app = App::serve(sessions, |router| router.layer(layer)).await;
    let request = |user: &str| {
        ask("Why?")
            .with("idempotency-key", "1")
            .with("x-user", user)
    };
    let (ann, _said) = app.start(request("ann")).await;
    let (bob, _other) = app.start(request("bob")).await;
    assert_ne!(ann.id(), bob.id());
    assert_eq!(app.send(request("ann")).await.id(), ann.id());
}

#[tokio::test]
async fn the_handler_learns_the_id_and_gets_the_request_as_it_came() {
    let app = App::new().await;
    let request = ask("Why?")
        .with("accept-encoding", "gzip")
        .with("x-session-id", id("told"))
        .with("x-more", "1");
    let answer = app.send_later(request);
    let asked = app.asked().await;
    assert_eq!(asked.headers["x-more"], "1");
    assert_eq!(asked.headers["x-session-id"], id("told"));
    assert!(!asked.headers.contains_key("accept-encoding"));
    let told: &SessionId = asked.extensions.get().unwrap();
    assert_eq!(told.as_str(), id("told"));
    assert!(asked.extensions.len() > 1, "those of the framework");
    drop(asked.events());
    assert!(answer.await.unwrap().whole().await.clean);
}

#[tokio::test]
async fn a_reconnect_starts_nothing() {
    let app = App::new().await;
    let unknown = about("POST", &id("unknown")).with("x-last-lsn", "0");
    assert_eq!(app.send(unknown).await.status(), 404);
    let nameless = ask("Why?").with("last-event-id", "3");
    assert_eq!(app.send(nameless).await.status(), 400);
    assert!(app.is_quiet().await);
}
