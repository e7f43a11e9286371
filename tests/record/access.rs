//! Closed to strangers.

use std::sync::{Arc, Mutex};

use http::request::Parts;
use unbroken::{
    BoxFuture, DurableLayer,
    access::{Access, Action, AnyoneWithTheId, Identified, OnlyTheOwner, SessionRef},
    chat::{ChatEvent, ProviderError, provider_fn},
    log::Owner,
    record::RecordLayer,
    session::Sessions,
};

use crate::{
    app::{App, about, ask, id, layer},
    client::{With as _, get, post},
};

fn user(head: &mut Parts) -> Option<Owner> {
    Some(Owner::new(head.headers.get("x-user")?.to_str().ok()?))
}

async fn of_owners() -> App {
    let sessions = Sessions::in_memory();
    let layer = RecordLayer::new(sessions.clone(), OnlyTheOwner::new(user));
    App::serve(sessions, |router| router.layer(layer)).await
}

#[tokio::test]
async fn strangers_find_nothing_and_what_is_absent_looks_the_same() {
    let app = of_owners().await;
    let request = ask("Why?")
        .with("x-session-id", id("mine"))
        .with("x-user", "ann");
    let (_starter, _said) = app.start(request).await;
    let stop = |id: &str| about("POST", id).with("x-session-abort", "1");
    let json = |id: &str| about("GET", id).with("accept", "application/json");
    let reconnect = |id: &str| about("POST", id).with("x-last-lsn", "0");
    let read = |id: &str| about("GET", id);
    let head = |id: &str| about("HEAD", id);
    let delete = |id: &str| about("DELETE", id);
    let all: [&dyn Fn(&str) -> _; 6] = [&read, &head, &delete, &stop, &json, &reconnect];
    for request in all {
        let of = |name: &str| request(&id(name)).with("x-user", "bob");
        let mine = app.send(of("mine")).await.whole().await;
        let absent = app.send(of("absent")).await.whole().await;
        assert_eq!(mine.status(), 404);
        assert_eq!(absent.status(), 404);
        assert_eq!(mine.bytes, absent.bytes);
    }
    let own = app
        .send(about("GET", &id("mine")).with("x-user", "ann"))
        .await;
    assert_eq!(own.status(), 200);
}

#[tokio::test]
async fn who_may_not_start_is_refused_before_the_body_is_read() {
    let app = of_owners().await;
    let refused = app.send(ask("Why?")).await.whole().await;
    assert_eq!(refused.status(), 403);
    assert!(app.is_quiet().await);
}

/// Refuses to identify, with a response of the application's own.
#[derive(Debug)]
struct Closed(Arc<Mutex<Vec<String>>>);

impl Access for Closed {
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
        self.0.lock().unwrap().push(head.uri.path().to_owned());
        let response = http::Response::builder()
            .status(401)
            .header("www-authenticate", "Bearer");
        Box::pin(async move { Err(response.body("sign in".into()).unwrap()) })
    }

    fn allow<'a>(
        &'a self,
        _: Option<&'a Owner>,
        _: Action,
        _: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool> {
        Box::pin(async { false })
    }

    fn names_owners(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn the_application_answers_401_itself_and_is_not_asked_about_what_passes() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let sessions = Sessions::in_memory();
    let layer = RecordLayer::new(sessions.clone(), Closed(asked.clone()));
    let app = App::serve(sessions, |router| router.layer(layer)).await;
    let told = app.send(ask("Why?")).await.whole().await;
    assert_eq!((told.status(), told.text()), (401, "sign in"));
    assert_eq!(told.header("www-authenticate"), "Bearer");
    assert_eq!(app.send(get("/page")).await.status(), 200);
    assert_eq!(*asked.lock().unwrap(), ["/ask"]);
}

#[tokio::test]
async fn chats_and_recordings_of_one_registry_are_absent_to_each_other() {
    let sessions = Sessions::in_memory();
    let provider = provider_fn(|_| {
        futures_util::stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
    });
    let chat = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new());
    let chat = tower_layer::Layer::layer(&chat, provider);
    let recorded = layer(&sessions);
    let app = App::serve(sessions, |router| {
        let router = router.layer(recorded);
        router.nest_service("/chat", chat)
    })
    .await;
    let (_recording, _said) = app
        .start(ask("Why?").with("x-session-id", id("recording")))
        .await;
    let body = serde_json::json!({"messages": [{"role": "user", "content": "Hi"}]});
    let chat = app
        .send(post("/chat", &body).with("x-session-id", id("chat")))
        .await;
    assert!(chat.whole().await.clean);
    assert_eq!(
        app.send(get(&format!("/chat/{}", id("chat"))))
            .await
            .status(),
        200
    );
    assert_eq!(app.send(about("GET", &id("chat"))).await.status(), 404);
    assert_eq!(
        app.send(get(&format!("/chat/{}", id("recording"))))
            .await
            .status(),
        404
    );
    assert_eq!(app.send(about("GET", &id("recording"))).await.status(), 200);
    let stop = about("POST", &id("chat")).with("x-session-abort", "1");
    assert_eq!(app.send(stop).await.status(), 404);
    assert_eq!(app.send(about("DELETE", &id("chat"))).await.status(), 404);
}
