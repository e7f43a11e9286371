//! Stops, and starts with a full response, while the store doesn't answer. In virtual time, without
//! sockets.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokio::time::timeout;
use tower_layer::Layer as _;
use tower_service::Service;
use unbroken::{
    access::OnlyTheOwner,
    dialect::{AiSdk, Concurrency, Dialect, Native, OpenAiResponses},
    durable::{DurableLayer, SessionBody},
    log::{Outcome, Owner, SessionId, Status},
    session::{Limits, Sessions},
    store::{Filter, Memory, Store as _, StoreExt as _},
};
use unbroken_conformance::{Fault, FaultStore, Op};

use crate::{
    client::{With, empty, post},
    server::{Call, Calls, ask, id, provider},
};

/// One server, called without a socket.
struct Direct<S> {
    store: FaultStore<Memory>,
    sessions: Sessions,
    service: S,
    calls: Calls,
}

fn direct(
    dialect: impl Dialect,
) -> Direct<
    impl Service<
        Request<Full<Bytes>>,
        Response = Response<SessionBody>,
        Error = std::convert::Infallible,
    > + Clone,
> {
    let store = FaultStore::new(Memory::new());
    let sessions = Sessions::builder(store.clone()).build();
    let access = OnlyTheOwner::new(|_: &mut http::request::Parts| Some(Owner::new("ann")));
    let (provider, calls) = provider();
    let layer = DurableLayer::new(sessions.clone(), access).dialect(dialect);
    Direct {
        store,
        sessions,
        service: layer.layer(provider),
        calls,
    }
}

impl<S> Direct<S>
where
    S: Service<
            Request<Full<Bytes>>,
            Response = Response<SessionBody>,
            Error = std::convert::Infallible,
        >,
{
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<SessionBody> {
        match self.service.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Starts a session and drops its response, once the provider is called.
    async fn start(&mut self, path: &str, body: &Value) -> Call {
        let started = self.send(post(path, body)).await;
        assert_eq!(started.status(), StatusCode::OK);
        drop(started);
        let call = self.calls.next().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        call
    }

    /// Begins an outage: calls fail at once, or hang.
    fn trouble(&self, hangs: bool) {
        if !hangs {
            return self.store.faults().outage(true);
        }
        for op in [
            Op::Abort,
            Op::Append,
            Op::Renew,
            Op::Changed,
            Op::Read,
            Op::OfChat,
            Op::List,
            Op::Delete,
        ] {
            for _ in 0..20 {
                let hang = Fault::PauseBefore(Duration::from_secs(60 * 60));
                self.store.faults().next(op, hang);
            }
        }
    }

    /// Returns the statuses of all sessions in the store, newest first.
    async fn statuses(&self) -> Vec<Status> {
        let listed = self.store.inner().list(&Filter::default()).await.unwrap();
        listed.sessions.iter().map(|it| it.state.status).collect()
    }

    /// Asserts that the only session is aborted once the store is back.
    async fn aborted(&self) {
        self.store.faults().heal();
        // A call that hangs is repeated after a while.
        for _ in 0..2 * 60 * 60 {
            let listed = self.store.inner().list(&Filter::default()).await.unwrap();
            let [session] = &listed.sessions[..] else {
                panic!("one session: {listed:?}");
            };
            if session.state.status == Status::Ended(Outcome::Aborted) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("the session is not aborted");
    }
}

async fn text(response: Response<SessionBody>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn chat(name: &str) -> Value {
    message(name, "m1")
}

fn message(chat: &str, id: &str) -> Value {
    json!({
        "id": chat, "trigger": "submit-message",
        "messages": [{"id": id, "role": "user", "parts": [{"type": "text", "text": "Hi"}]}],
    })
}

#[tokio::test(start_paused = true)]
async fn an_abort_is_accepted_while_the_store_refuses_or_hangs() {
    for hangs in [false, true] {
        let mut server = direct(Native::new());
        let start = post("/", &ask("Hi")).with("x-session-id", id("stop"));
        drop(server.send(start).await);
        let call = server.calls.next().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.trouble(hangs);
        let stop = empty("POST", &format!("/{}/abort", id("stop")));
        let stopped = server.send(stop).await;
        assert_eq!(stopped.status(), StatusCode::ACCEPTED, "hangs: {hangs}");
        assert!(call.is_dropped());
        let state = server
            .store
            .inner()
            .state(&id("stop").parse::<SessionId>().unwrap())
            .await;
        assert_eq!(state.unwrap().status, Status::Streaming);
        server.aborted().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_chat_is_stopped_by_its_name_while_the_store_refuses_or_hangs() {
    for hangs in [false, true] {
        let mut server = direct(AiSdk::new());
        let call = server.start("/", &chat("chat-1")).await;
        server.trouble(hangs);
        let other = server.send(empty("POST", "/chat-2/stop")).await;
        assert_eq!(other.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!call.is_dropped());
        let stopped = server.send(empty("POST", "/chat-1/stop")).await;
        assert_eq!(stopped.status(), StatusCode::ACCEPTED, "hangs: {hangs}");
        assert!(call.is_dropped());
        server.aborted().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_is_cancelled_while_the_store_refuses_or_hangs() {
    for hangs in [false, true] {
        let mut server = direct(OpenAiResponses::new());
        let body = json!({"input": "Hi", "background": true, "stream": true});
        let call = server.start("/responses", &body).await;
        let listed = server.store.inner().list(&Filter::default()).await;
        let id = listed.unwrap().sessions[0].id.clone();
        server.trouble(hangs);
        let cancel = empty("POST", &format!("/responses/{id}/cancel"));
        let cancelled = server.send(cancel).await;
        assert_eq!(cancelled.status(), StatusCode::OK, "hangs: {hangs}");
        assert!(call.is_dropped());
        let object: Value = serde_json::from_str(&text(cancelled).await).unwrap();
        assert_eq!(object["id"], id.as_str());
        server.aborted().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_stops_the_provider_and_is_refused_while_the_store_is_away() {
    for hangs in [false, true] {
        let mut server = direct(Native::new());
        let start = post("/", &ask("Hi")).with("x-session-id", id("delete"));
        drop(server.send(start).await);
        let call = server.calls.next().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.trouble(hangs);
        let delete = empty("DELETE", &format!("/{}", id("delete")));
        let refused = server.send(delete).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(call.is_dropped());
        server.aborted().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_full_response_is_refused_does_not_run_on() {
    let mut server = direct(OpenAiResponses::new());
    let start = server
        .service
        .call(post("/responses", &json!({"input": "Hi"})));
    let calls = server.calls.clone();
    let faults = server.store.faults().clone();
    let lost = async move {
        let call = calls.next().await;
        call.say("Hello");
        tokio::time::sleep(Duration::from_millis(50)).await;
        faults.outage(true);
        call.say("during the outage");
        call
    };
    let (refused, call) = tokio::join!(start, lost);
    let Ok(refused) = refused;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(call.is_dropped());
    server.aborted().await;
    assert_eq!(server.sessions.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn equal_starts_on_another_server_read_the_session_also_beyond_the_limit_of_the_owner() {
    let mut here = direct(Native::new());
    let limits = Limits::default().running_per_owner(1);
    let sessions = Sessions::builder(here.store.clone()).limits(limits).build();
    let access = OnlyTheOwner::new(|_: &mut http::request::Parts| Some(Owner::new("ann")));
    let (provider, calls) = provider();
    let mut there = DurableLayer::new(sessions, access).layer(provider);
    let start = |name: &str| post("/", &ask("Hi")).with("x-session-id", id(name));
    let slow = Fault::PauseBefore(Duration::from_secs(1));
    here.store.faults().next(Op::Append, slow);
    let mut answers = vec![here.send(start("one")).await];
    for _ in 0..3 {
        answers.push(there.call(start("one")).await.unwrap());
    }
    for answer in &answers {
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let other = there.call(start("another")).await.unwrap();
    assert_eq!(other.status(), StatusCode::TOO_MANY_REQUESTS);
    let _call = here.calls.next().await;
    assert!(calls.none().await, "one server calls the provider");
}

/// The time after which a client gives up.
const PATIENCE: Duration = Duration::from_secs(20);

const STREAMING: Status = Status::Streaming;
const ABORTED: Status = Status::Ended(Outcome::Aborted);

fn superseding() -> AiSdk {
    AiSdk::new().concurrency(Concurrency::Supersede)
}

/// Waits until the store has these statuses, newest first.
macro_rules! in_the_store {
    ($server:ident: $statuses:expr) => {
        for second in 0.. {
            let found = $server.statuses().await;
            if found == $statuses {
                break;
            }
            assert!(second < 600, "{found:?}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
}

#[tokio::test(start_paused = true)]
async fn a_message_that_would_supersede_is_refused_and_stops_nothing_while_the_store_is_away() {
    for hangs in [false, true] {
        let mut server = direct(superseding());
        let first = server.start("/", &chat("c")).await;
        server.trouble(hangs);
        match timeout(PATIENCE, server.send(post("/", &message("c", "m2")))).await {
            Ok(refused) => {
                assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{hangs}");
                assert!(refused.headers().contains_key("retry-after"));
            }
            // The client gives up, since the store neither answers nor refuses.
            Err(_) => assert!(hangs),
        }
        server.store.faults().heal();
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(!first.is_dropped(), "hangs: {hangs}");
        assert!(server.calls.none().await, "the refused start never runs");
        assert_eq!(server.statuses().await, [STREAMING]);

        let second = server.start("/", &message("c", "m2")).await;
        assert!(first.is_dropped());
        assert!(!second.is_dropped());
        in_the_store!(server: [STREAMING, ABORTED]);
        assert!(server.calls.none().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_superseded_answer_is_stopped_at_once_though_the_store_takes_no_abort() {
    for hangs in [false, true] {
        let mut server = direct(superseding());
        let first = server.start("/", &chat("c")).await;
        let pause = Fault::PauseBefore(Duration::from_secs(10 * 60));
        for _ in 0..100 {
            let fault = if hangs { pause } else { Fault::LoseBefore };
            server.store.faults().next(Op::Abort, fault);
        }
        let second = server.start("/", &message("c", "m2")).await;
        assert!(first.is_dropped(), "hangs: {hangs}");
        server.store.faults().heal();
        in_the_store!(server: [STREAMING, ABORTED]);
        assert!(!second.is_dropped());
        assert!(server.calls.none().await, "two messages are two calls");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_between_the_abort_and_the_start_runs_neither_answer() {
    for fault in [
        Fault::LoseBefore,
        Fault::LoseAfter,
        Fault::PauseBefore(Duration::from_secs(90)),
        Fault::PauseAfter(Duration::from_secs(90)),
    ] {
        let mut server = direct(superseding());
        let first = server.start("/", &chat("c")).await;
        // The chat is looked up; from then on the store takes nothing.
        for op in [Op::Abort, Op::Append, Op::Create, Op::Renew, Op::Read] {
            for _ in 0..100 {
                server.store.faults().next(op, fault);
            }
        }
        let refused = server.send(post("/", &message("c", "m2"))).await;
        assert_eq!(
            refused.status(),
            StatusCode::SERVICE_UNAVAILABLE,
            "{fault:?}"
        );
        assert!(first.is_dropped(), "it was superseded: {fault:?}");
        server.store.faults().heal();
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(
            server.calls.none().await,
            "the refused start never runs: {fault:?}"
        );
        let found = server.statuses().await;
        assert!(
            found.iter().all(|it| matches!(it, Status::Ended(_))),
            "{fault:?}: {found:?}"
        );
        assert_eq!(found.last(), Some(&ABORTED), "{fault:?}: {found:?}");

        let second = server.start("/", &message("c", "m2")).await;
        assert!(!second.is_dropped());
        assert!(server.calls.none().await, "{fault:?}");
        assert_eq!(server.statuses().await[0], STREAMING, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_supersedes_no_answer_of_another_server_whose_abort_is_not_stored() {
    for fault in [
        Fault::LoseBefore,
        Fault::PauseBefore(Duration::from_secs(90)),
    ] {
        let mut there = direct(superseding());
        let sessions = Sessions::builder(there.store.clone()).build();
        let access = OnlyTheOwner::new(|_: &mut http::request::Parts| Some(Owner::new("ann")));
        let (provider, calls) = provider();
        let mut here = DurableLayer::new(sessions, access)
            .dialect(superseding())
            .layer(provider);
        let first = there.start("/", &chat("c")).await;
        for _ in 0..100 {
            there.store.faults().next(Op::Abort, fault);
        }
        let pauses = fault != Fault::LoseBefore;
        match timeout(PATIENCE, here.call(post("/", &message("c", "m2")))).await {
            Ok(Ok(refused)) => {
                assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
            }
            // The client gives up.
            Err(_) => assert!(pauses),
        }
        assert!(calls.none().await, "two answers would be paid at once");
        assert!(!first.is_dropped());
        there.store.faults().heal();
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert!(calls.none().await, "the refused start never runs");

        let started = here.call(post("/", &message("c", "m2"))).await.unwrap();
        assert_eq!(started.status(), StatusCode::OK);
        let second = calls.next().await;
        in_the_store!(there: [STREAMING, ABORTED]);
        assert!(first.is_dropped());
        assert!(!second.is_dropped());
        assert!(calls.none().await && there.calls.none().await);
    }
}
