//! Stops by names that clients choose, of clients without an owner, while the store answers or doesn't.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use bytes::Bytes;
use http::{Method, Response, request::Parts};
use serde_json::Value;
use unbroken::{
    BoxFuture,
    access::{AnyoneWithTheId, PerPeer},
    dialect::{
        Abort, Dialect, Intent, Native, Refusal, RequestLimits, ResponseData, Route, SessionKey,
        Subject,
    },
    durable::DurableLayer,
    log::{ChatId, Owner, SessionId},
    session::Sessions,
    store::{Listed, Memory, Seen, SessionState, Store, StoreError},
};

use crate::without_owners::{
    Chat, SECRET, SignedInOrNot, ai_sdk, ask, by_paths, mount, native, native_start,
};

/// A store that finds no session while it is away.
#[derive(Debug, Clone, Default)]
struct Outage {
    memory: Memory,
    away: Arc<AtomicBool>,
}

impl Outage {
    fn sessions(&self) -> Sessions {
        Sessions::builder(self.clone()).build()
    }

    fn or_away<'a, T: Send + 'a>(
        &self,
        found: BoxFuture<'a, Result<T, StoreError>>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        if self.away.load(SeqCst) {
            let error = StoreError::unavailable(false, "the store is away");
            return Box::pin(std::future::ready(Err(error)));
        }
        found
    }
}

impl Store for Outage {
    unbroken_conformance::delegate_store!(
        memory: durability, create, claim, renew, append, read, abort, answer, answers, hold, delete, list,
        orphans, endings, postpone_ending, delivered, sweep
    );

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: std::time::Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        self.or_away(self.memory.changed(id, seen, within))
    }

    fn of_chat<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        self.or_away(self.memory.of_chat(owner, chat, limit))
    }
}

async fn stop(chat: &Chat, name: &str) -> u16 {
    let stopped = ask(chat, "POST", &format!("/{name}/stop"), &Value::Null).await;
    stopped.status().as_u16()
}

#[tokio::test]
async fn a_chat_id_stops_nothing_of_clients_without_an_owner_in_an_outage_either() {
    let store = Outage::default();
    let sessions = store.sessions();
    let native = native(&sessions);
    for name in ["1", SECRET] {
        let started = ask(&native, "POST", "/", &native_start(name)).await;
        assert_eq!(started.status(), 200);
    }
    for layer in by_paths(&sessions, SignedInOrNot) {
        let chat = mount(layer);
        for (name, away) in [("1", false), ("1", true), (SECRET, false), (SECRET, true)] {
            store.away.store(away, SeqCst);
            assert_eq!(stop(&chat, name).await, 403, "{name}, away: {away}");
        }
    }
    assert_eq!(sessions.running(), 2);
}

#[tokio::test]
async fn a_neighbour_behind_one_address_stops_nothing_by_a_chat_id_in_an_outage() {
    let store = Outage::default();
    let sessions = store.sessions();
    let native = mount(DurableLayer::new(
        sessions.clone(),
        PerPeer::new(AnyoneWithTheId::new()),
    ));
    let chat = mount(ai_sdk(&sessions, PerPeer::new(SignedInOrNot)));
    let started = ask(&native, "POST", "/", &native_start(SECRET)).await;
    assert_eq!(started.status(), 200);
    for away in [false, true] {
        store.away.store(away, SeqCst);
        assert_eq!(stop(&chat, SECRET).await, 403, "away: {away}");
    }
    assert_eq!(sessions.running(), 1);
}

#[tokio::test]
async fn a_secret_chat_id_stops_its_session_in_an_outage() {
    let store = Outage::default();
    let sessions = store.sessions();
    let native = native(&sessions);
    let chat = mount(ai_sdk(&sessions, AnyoneWithTheId::new()).secret_chat_ids());
    let started = ask(&native, "POST", "/", &native_start(SECRET)).await;
    assert_eq!(started.status(), 200);
    store.away.store(true, SeqCst);
    assert_eq!(stop(&chat, SECRET).await, 202);
}

/// The native dialect, whose starts are named by the keys of their chats, and that aborts by keys.
#[derive(Debug)]
struct Keyed;

impl Dialect for Keyed {
    fn name(&self) -> &'static str {
        "keyed"
    }

    fn route(&self, head: &Parts) -> Result<Route, Refusal> {
        match head.uri.path().strip_suffix("/stop") {
            Some(path) if head.method == Method::POST => {
                let key = SessionKey::new([path.trim_start_matches('/')]);
                Ok(Route::Known(Intent::Abort(Abort::new(key))))
            }
            _ => Native::new().route(head),
        }
    }

    fn subject(&self, head: &Parts, body: &Bytes) -> Result<Subject, Refusal> {
        Native::new().subject(head, body)
    }

    fn decode(
        &self,
        head: &Parts,
        body: &Bytes,
        limits: &RequestLimits,
    ) -> Result<Intent, Refusal> {
        match Native::new().decode(head, body, limits)? {
            Intent::Start(start) => {
                let chat = start.chat.clone().unwrap();
                let key = SessionKey::new([chat.as_str()]);
                Ok(Intent::Start(Box::new(start.key(key))))
            }
            intent => Ok(intent),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        Native::new().refuse(refusal)
    }

    fn respond(&self, data: &ResponseData<'_>) -> Response<Bytes> {
        Native::new().respond(data)
    }

    fn can_restart(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_key_that_can_be_guessed_stops_nothing_of_clients_without_an_owner() {
    let store = Outage::default();
    let sessions = store.sessions();
    let layer = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new());
    let chat = mount(layer.dialect(Keyed).secret_chat_ids());
    let started = ask(&chat, "POST", "/", &native_start(SECRET)).await;
    assert_eq!(started.status(), 200);
    for away in [false, true] {
        store.away.store(away, SeqCst);
        assert_eq!(stop(&chat, SECRET).await, 400, "away: {away}");
    }
    assert_eq!(sessions.running(), 1);
}
