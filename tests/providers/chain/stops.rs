//! Sessions of ours that stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use futures_util::{FutureExt, StreamExt};
use http::{Request, Response};
use tower::Service;
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    chat::Liveness,
    durable::{DurableLayer, Recovery},
    log::Outcome,
    session::Limits,
    store::{AbortRequest, Memory, Store, StoreExt},
};

use super::{
    outer::{ID, OuterServer, provider, start, when_stored},
    *,
};

fn words() -> Vec<ChatEvent> {
    ["Hel", "lo"].map(ChatEvent::text).to_vec()
}

async fn aborted(sessions: &Sessions, store: &Memory, server: &InnerServer) {
    let id = server.seen()[0].headers["x-session-id"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    loop {
        if let Some(outcome) = store.state(&id).await.unwrap().status.outcome() {
            assert_eq!(outcome, Outcome::Aborted);
            return;
        }
        let _ = sessions;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_stop_reaches_the_model_of_the_other_server_and_a_hand_over_does_not() {
    let model = GatedModel::new(words());
    model.open(1);
    let inner_store = Memory::new();
    let inner = Sessions::builder(inner_store.clone()).build();
    let server = InnerServer::start(mounted(inner.clone(), model.provider())).await;
    let store = Memory::new();
    let layer = |sessions: &Sessions| DurableLayer::new(sessions.clone(), AnyoneWithTheId::new());
    let leaving = Sessions::builder(store.clone()).build();
    let chat = layer(&leaving)
        .recovery(Recovery::new().reattach())
        .layer(provider(&server));
    drop(chat.oneshot(start()).await.unwrap());
    when_stored(&store, 1).await;
    leaving.shutdown(Duration::ZERO).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((server.count("POST", "/abort"), model.dropped()), (0, 0));

    let staying = Sessions::builder(store.clone()).build();
    let chat = layer(&staying)
        .recovery(Recovery::new().reattach())
        .layer(provider(&server));
    drop(chat.oneshot(super::outer::read()).await.unwrap());
    while server.reads().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    staying
        .abort(&ID.parse().unwrap(), AbortRequest::default())
        .await
        .unwrap();
    model.when_dropped(1).await;
    aborted(&inner, &inner_store, &server).await;
    assert_eq!(server.count("POST", "/abort"), 1);
}

#[tokio::test]
async fn a_request_that_is_dropped_before_its_response_is_aborted_once_it_is_there() {
    for dropped_early in [false, true] {
        let model = GatedModel::new(words());
        model.open(1);
        let inner_store = Memory::new();
        let inner = Sessions::builder(inner_store.clone()).build();
        let server = InnerServer::start(mounted(inner.clone(), model.provider())).await;
        let mut request = ChatRequest::from_user("Hi");
        request.liveness = Liveness::new();
        request.liveness.end();
        let mut provider = provider(&server);
        // What wasn't sent isn't.
        drop(provider.call(request.clone()));
        let mut asked = Box::pin(provider.call(request));
        if dropped_early {
            while server.seen().is_empty() {
                assert!((&mut asked).now_or_never().is_none());
                tokio::task::yield_now().await;
            }
            drop(asked);
        } else {
            let mut stream = asked.await.unwrap();
            stream.next().await.unwrap().unwrap();
            drop(stream);
        }
        while server.count("POST", "/abort") == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        aborted(&inner, &inner_store, &server).await;
        assert_eq!(server.count("POST", "/api/chat"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_that_was_stopped_while_its_server_was_dead_is_aborted() {
    let model = GatedModel::new(words());
    model.open(1);
    let inner_store = Memory::new();
    let inner = Sessions::builder(inner_store.clone()).build();
    let server = InnerServer::start(mounted(inner.clone(), model.provider())).await;
    let store = Memory::new();
    let first = OuterServer::new(&store);
    first.send(provider(&server), Recovery::new().reattach(), start());
    when_stored(&store, 1).await;
    drop(first);
    store
        .abort(&ID.parse().unwrap(), AbortRequest::default())
        .await
        .unwrap();
    let second = OuterServer::new(&store);
    second.send(
        provider(&server),
        Recovery::new().reattach(),
        super::outer::read(),
    );
    model.when_dropped(1).await;
    aborted(&inner, &inner_store, &server).await;
    assert_eq!(model.calls(), 1);
}

/// A gateway before a server: it answers the first requests to this path itself, with this status, after it has
/// forwarded them or not.
fn gateway(app: Router, path: &'static str, times: usize, status: u16, forwards: bool) -> Router {
    let left = Arc::new(AtomicUsize::new(times));
    Router::new().fallback(move |request: Request<Body>| {
        let (app, left) = (app.clone(), Arc::clone(&left));
        async move {
            let is_post = request.method() == "POST" && request.uri().path().ends_with(path);
            let one_less = |left: usize| left.checked_sub(1);
            let loses = is_post
                && left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                    .is_ok();
            let response = if forwards || !loses {
                Some(app.oneshot(request).await.unwrap())
            } else {
                None
            };
            match response {
                Some(response) if !loses => response,
                _ => {
                    let lost = Response::builder().status(status);
                    let lost = lost.header("retry-after", "0");
                    lost.body(Body::empty()).unwrap()
                }
            }
        }
    })
}

#[tokio::test]
async fn an_answer_whose_response_a_gateway_lost_is_aborted_and_one_that_was_refused_is_none() {
    for (status, forwards) in [(502, true), (504, true), (429, false), (503, false)] {
        let model = GatedModel::new(words());
        model.open(1);
        let inner_store = Memory::new();
        let inner = Sessions::builder(inner_store.clone()).build();
        let app = mounted(inner.clone(), model.provider());
        let server = InnerServer::start(gateway(app, "/api/chat", 1, status, forwards)).await;
        let provider = UnbrokenUpstream::builder(server.url()).retries(0);
        let provider = provider.build().unwrap();
        ask(&provider, ChatRequest::from_user("Hi"))
            .await
            .unwrap_err();
        if forwards {
            model.when_dropped(1).await;
            aborted(&inner, &inner_store, &server).await;
        } else {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let aborts = server.count("POST", "/abort");
        assert_eq!(aborts, usize::from(forwards), "{status}");
    }
}

#[tokio::test]
async fn a_stop_is_repeated_until_the_other_server_takes_it() {
    let model = GatedModel::new(words());
    model.open(1);
    let inner_store = Memory::new();
    let inner = Sessions::builder(inner_store.clone()).build();
    let app = mounted(inner.clone(), model.provider());
    let server = InnerServer::start(gateway(app, "/abort", 4, 503, false)).await;
    let mut request = ChatRequest::from_user("Hi");
    request.liveness = Liveness::new();
    let liveness = request.liveness.clone();
    let mut stream = provider(&server).oneshot(request).await.unwrap();
    stream.next().await.unwrap().unwrap();
    liveness.end();
    drop(stream);
    model.when_dropped(1).await;
    aborted(&inner, &inner_store, &server).await;
    assert_eq!(server.count("POST", "/abort"), 5);
}

#[tokio::test]
async fn an_answer_that_ends_here_for_a_limit_is_aborted_there() {
    for (bytes, aborts) in [(2000, 1), (200, 0)] {
        let model = GatedModel::new(vec![
            ChatEvent::custom("big", json!("a".repeat(bytes))),
            ChatEvent::text("Hello"),
        ]);
        model.open(1);
        let server = InnerServer::start(mounted(Sessions::in_memory(), model.provider())).await;
        let mut limits = Limits::default();
        limits.event_bytes = 1000;
        let store = Memory::new();
        let sessions = Sessions::builder(store.clone()).limits(limits).build();
        let layer = DurableLayer::new(sessions, AnyoneWithTheId::new());
        let response = layer.layer(provider(&server)).oneshot(start());
        let response = response.await.unwrap();
        when_stored(&store, 1).await;
        if aborts == 1 {
            model.when_dropped(1).await;
        }
        model.open(usize::MAX);
        let log = super::outer::body(response).await;
        let expected = if aborts == 1 { "error" } else { "complete" };
        let events = super::outer::events_of(&log);
        assert_eq!(events.last().unwrap()["type"], expected, "{log}");
        assert_eq!(server.count("POST", "/abort"), aborts, "{bytes}");
    }
}
