//! Clients that try out ids: what they learn of the sessions of others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower_layer::Layer as _;
use tower_service::Service as _;
use unbroken::{
    BoxFuture,
    access::OnlyTheOwner,
    chat::Provider,
    durable::{DurableLayer, SessionBody},
    log::{Owner, Position, SessionId},
    session::{Limits, Sessions},
    store::{Created, Memory, NewSession, RecordPage, Seen, SessionState, Store, StoreError},
};
use unbroken_conformance::delegate_store;

use crate::{
    client::{With, empty, get, post},
    server::{Calls, ask, id, provider},
};

/// A store that counts the calls that a request makes.
#[derive(Debug, Clone, Default)]
struct CountedCalls {
    inner: Memory,
    calls: Arc<AtomicUsize>,
}

impl CountedCalls {
    fn count(&self) {
        self.calls.fetch_add(1, SeqCst);
    }
}

impl Store for CountedCalls {
    delegate_store!(
        inner: durability, claim, renew, append, abort, answer, answers, hold, delete, of_chat, list, orphans, endings, postpone_ending, delivered,
        sweep
    );

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        self.count();
        self.inner.create(id, new)
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        self.count();
        self.inner.read(id, after, max_bytes)
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        // The others are waits of writers and followers.
        if seen == Seen::Nothing {
            self.count();
        }
        self.inner.changed(id, seen, within)
    }
}

fn user(head: &mut http::request::Parts) -> Option<Owner> {
    Some(Owner::new(head.headers.get("x-user")?.to_str().ok()?))
}

type Serve = dyn Fn(Request<Full<Bytes>>) -> BoxFuture<'static, Response<SessionBody>>;

/// A server where ann has a session, another one on another server, and one that is deleted. No answer
/// ends.
struct Probed {
    store: CountedCalls,
    sessions: Sessions,
    serve: Box<Serve>,
    _calls: Calls,
    others: [String; 3],
}

fn serve(sessions: &Sessions, provider: impl Provider) -> Box<Serve> {
    let layer = DurableLayer::new(sessions.clone(), OnlyTheOwner::new(user));
    let service = layer.layer(provider);
    Box::new(move |request| {
        let mut service = service.clone();
        Box::pin(async move {
            let Ok(response) = service.call(request).await;
            response
        })
    })
}

async fn probed(running_per_owner: usize) -> Probed {
    let store = CountedCalls::default();
    let limits = Limits::default().running_per_owner(running_per_owner);
    let sessions = || {
        Sessions::builder(store.clone())
            .limits(limits.clone())
            .build()
    };
    let (here, there) = (sessions(), sessions());
    let (provider, calls) = provider();
    let others = ["here", "there", "deleted"].map(id);
    for (at, other) in others.iter().enumerate() {
        let sessions = if at == 1 { &there } else { &here };
        let request = post("/", &ask("Hi")).with("x-session-id", other);
        let started = serve(sessions, provider.clone())(request.with("x-user", "ann")).await;
        assert_eq!(started.status(), 200);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    here.delete(&others[2].parse().unwrap()).await.unwrap();
    Probed {
        store,
        serve: serve(&here, provider),
        sessions: here,
        _calls: calls,
        others,
    }
}

impl Probed {
    /// Returns the status, the body, and the calls of the store that the request cost.
    async fn send(&self, user: &str, request: Request<Full<Bytes>>) -> (u16, String, usize) {
        let before = self.store.calls.load(SeqCst);
        let response = (self.serve)(request.with("x-user", user)).await;
        let cost = self.store.calls.load(SeqCst) - before;
        let (status, text) = read(response).await;
        (status, text, cost)
    }

    async fn start(&self, user: &str, id: &str, question: &str) -> (u16, String, usize) {
        let request = post("/", &ask(question)).with("x-session-id", id);
        self.send(user, request).await
    }
}

async fn read(response: Response<SessionBody>) -> (u16, String) {
    let status = response.status().as_u16();
    if status == 200 {
        return (status, String::new());
    }
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn over_the_limit_a_start_tells_nothing_of_the_ids_of_others() {
    let probed = probed(2).await;
    for n in 0..2 {
        let (status, ..) = probed.start("ben", &id(&format!("bens-{n}")), "Hi").await;
        assert_eq!(status, 200);
    }
    let unused = probed.start("ben", &id("unused"), "Hi").await;
    assert_eq!(unused.0, 429, "{unused:?}");
    for other in &probed.others {
        for question in ["Hi", "Who?"] {
            let refused = probed.start("ben", other, question).await;
            assert_eq!(refused, unused, "{other}");
        }
    }
    // What is his own he learns all the same.
    assert_eq!(probed.start("ben", &id("bens-0"), "Hi").await.0, 200);
    assert_eq!(probed.start("ben", &id("bens-0"), "Who?").await.0, 409);
    assert_eq!(probed.sessions.running(), 1 + 2);
}

#[tokio::test(start_paused = true)]
async fn below_the_limit_only_the_owner_learns_more_than_that_an_id_is_taken() {
    let probed = probed(16).await;
    let mut refusals = Vec::new();
    for other in &probed.others {
        let (status, text, _) = probed.start("ben", other, "Hi").await;
        assert_eq!(status, 409, "{text}");
        refusals.push(text);
    }
    assert!(refusals.iter().all(|text| *text == refusals[0]));
    assert_eq!(probed.sessions.running(), 1, "none of them took a place");
    let mine: Vec<_> = [
        probed.start("ann", &probed.others[0], "Hi").await.0,
        probed.start("ann", &probed.others[0], "Who?").await.0,
        probed.start("ann", &probed.others[1], "Hi").await.0,
        probed.start("ann", &probed.others[2], "Hi").await.0,
        probed.start("ann", &id("unused"), "Hi").await.0,
    ]
    .into();
    assert_eq!(mine, [200, 409, 200, 410, 200]);
}

#[tokio::test(start_paused = true)]
async fn an_absent_session_costs_as_many_calls_of_the_store_as_one_of_another_owner() {
    let probed = probed(16).await;
    let requests = |id: &str| {
        let at = format!("/{id}");
        [
            get(&at),
            get(&at).with("accept", "application/json"),
            empty("HEAD", &at),
            empty("DELETE", &at),
            empty("POST", &format!("{at}/abort")),
            post(
                &format!("{at}/inputs/1"),
                &serde_json::json!({"action": "decline"}),
            ),
            post("/", &ask("Hi"))
                .with("x-session-id", id)
                .with("x-last-lsn", "0"),
        ]
    };
    for (at, absent) in requests(&id("absent")).into_iter().enumerate() {
        let asked = format!("{} {}", absent.method(), absent.uri());
        let absent = probed.send("ben", absent).await;
        assert_eq!(absent.0, 404, "{asked}: {absent:?}");
        assert!(absent.2 > 0);
        for other in &probed.others {
            let request = requests(other).into_iter().nth(at).unwrap();
            assert_eq!(
                probed.send("ben", request).await,
                absent,
                "{asked}: {other}"
            );
        }
    }
    assert_eq!(probed.sessions.running(), 1);
}
