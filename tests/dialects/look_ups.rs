//! Sessions of others under a chat's name change neither the result nor the work of a look-up.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use serde_json::{Value, json};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use unbroken::{
    BoxFuture,
    access::OnlyTheOwner,
    dialect::AiSdk,
    durable::{ChatFormat, ClientFields, DurableLayer, SessionBody},
    log::{ChatId, ChunkBuilder, Digest, Lsn, Outcome, Owner, ServiceName, SessionId},
    provider::Scripted,
    session::{Format as _, Sessions},
    store::{
        AfterAppend, Created, Filter, Listed, Listing, Memory, NewSession, Seal, SessionMeta,
        Store, StoreError, Token,
    },
};
use unbroken_conformance::delegate_store;

const OTHERS: usize = 4_400;
const HOUR: Duration = Duration::from_secs(3600);

/// A store that counts its lists.
#[derive(Debug, Clone, Default)]
struct CountedStore {
    memory: Memory,
    look_ups: Arc<AtomicUsize>,
    listed: Arc<AtomicUsize>,
    lists: Arc<AtomicUsize>,
}

impl CountedStore {
    /// Returns the look-ups, the sessions that they returned and the lists since the last call.
    fn counts(&self) -> [usize; 3] {
        [&self.look_ups, &self.listed, &self.lists].map(|count| count.swap(0, SeqCst))
    }
}

impl Store for CountedStore {
    delegate_store!(
        memory: durability, create, claim, renew, append, read, changed, abort, answer, answers, hold,
        delete, orphans, endings, postpone_ending, delivered, sweep
    );

    fn of_chat<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        Box::pin(async move {
            let listed = self.memory.of_chat(owner, chat, limit).await?;
            self.look_ups.fetch_add(1, SeqCst);
            self.listed.fetch_add(listed.len(), SeqCst);
            Ok(listed)
        })
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        self.lists.fetch_add(1, SeqCst);
        self.memory.list(filter)
    }
}

/// Fills a chat with ended and running sessions of another owner.
async fn fill(store: &impl Store, chat: &str) {
    for at in 0..OTHERS {
        let id = SessionId::random();
        let new = NewSession {
            meta: Arc::new(SessionMeta {
                owner: Some(Owner::new("mallory")),
                chat: Some(ChatId::new(chat)),
                service: ServiceName::new("another"),
                digest: Digest([0; 32]),
                format: ChatFormat::new().number(),
                outbox: None,
            }),
            request: bytes::Bytes::new(),
            token: Token::random(),
            lease: HOUR,
            tombstone: HOUR,
        };
        let Created::Created(epoch) = store.create(&id, new).await.unwrap() else {
            panic!("a random id is taken");
        };
        if at % 2 == 0 {
            let mut records = ChunkBuilder::new();
            records.push(b"one token");
            let chunk = records.take(Lsn::new(1), epoch).unwrap();
            let outcome = Outcome::Complete;
            let seal = AfterAppend::Seal(Seal::new(outcome, HOUR));
            store.append(&id, chunk, seal).await.unwrap();
        }
    }
}

type Chat = BoxCloneSyncService<Request<Body>, Response<SessionBody>, Infallible>;

/// Returns a chat whose users are named in a header.
fn chat(sessions: Sessions) -> Chat {
    let who = |head: &mut Parts| {
        let name = head.headers.get("x-user")?.to_str().ok()?;
        Some(Owner::new(name))
    };
    let layer = DurableLayer::new(sessions, OnlyTheOwner::new(who))
        .dialect(AiSdk::new())
        .client_fields(ClientFields::nothing().field("script"));
    BoxCloneSyncService::new(layer.layer(Scripted::default()))
}

async fn ask(chat: &Chat, method: &str, uri: &str, body: &Value) -> Response<SessionBody> {
    let request = Request::builder().method(method).uri(uri);
    let request = request
        .header("x-user", "ann")
        .header(CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    chat.clone().oneshot(request).await.unwrap()
}

fn message(id: &str, script: &Value) -> Value {
    let message = json!({ "id": id, "role": "user", "parts": [{ "type": "text", "text": "Hi" }] });
    json!({ "id": "chat-1", "trigger": "submit-message", "messages": [message], "script": script })
}

#[tokio::test]
async fn sessions_of_another_owner_in_a_chat_of_the_same_name_hide_no_running_answer() {
    let store = CountedStore::default();
    let sessions = Sessions::builder(store.clone()).build();
    let chat = chat(sessions.clone());
    let slow = json!({ "tokens": 100, "delayMs": 60_000 });
    let started = ask(&chat, "POST", "/", &message("m1", &slow)).await;
    assert_eq!(started.status(), StatusCode::OK);
    let id = started.headers()["x-session-id"].clone();

    let mut counts = Vec::new();
    for filled in [false, true] {
        if filled {
            fill(&store.memory, "chat-1").await;
        }
        store.counts();
        let resumed = ask(&chat, "GET", "/chat-1/stream", &Value::Null).await;
        assert_eq!(resumed.status(), StatusCode::OK, "filled: {filled}");
        assert_eq!(resumed.headers()["x-session-id"], id);
        counts.push(store.counts());
        let second = ask(&chat, "POST", "/", &message("m2", &slow)).await;
        assert_eq!(second.status(), StatusCode::CONFLICT, "filled: {filled}");
        counts.push(store.counts());
    }
    // One look-up, which returned one session, and no list.
    assert_eq!(counts, [[1, 1, 0]; 4]);
    assert_eq!(sessions.running(), 1);

    let stopped = ask(&chat, "POST", "/chat-1/stop", &Value::Null).await;
    assert_eq!(stopped.status(), StatusCode::ACCEPTED);
    assert_eq!(store.counts(), [1, 1, 0]);
}
