//! Sessions that stop, and those that are handed over, with a response in the background.

use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt;
use http::Request;
use tokio::sync::watch;
use tower::Service;
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    chat::Liveness,
    durable::{DurableLayer, Recovery},
    log::{Outcome, SessionId},
    session::Sessions,
    store::{AbortRequest, Memory, Store, StoreExt},
};

use super::{
    background::{provider, text},
    server::{Hold, Rules, Server},
    *,
};

/// Starts a session whose response waits after its first events, and returns its id.
async fn started(model: &Server, sessions: &Sessions, store: &Memory) -> SessionId {
    started_with(provider(model), sessions, store).await
}

async fn started_with(
    provider: ResponsesUpstream,
    sessions: &Sessions,
    store: &Memory,
) -> SessionId {
    let chat = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new()).layer(provider);
    let id = SessionId::random();
    let body = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let request = Request::post("/")
        .header("x-session-id", id.as_str())
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    drop(chat.oneshot(request).await.unwrap());
    while store.state(&id).await.map_or(0, |state| state.tail.get()) < 2 {
        tokio::task::yield_now().await;
    }
    id
}

#[tokio::test]
async fn a_stop_cancels_the_response_and_a_hand_over_does_not() {
    let rules = Rules {
        hold: Some((Hold::All, 3)),
        ..Rules::default()
    };
    let model = Server::start(vec![text()], rules).await;
    let store = Memory::new();
    let leaving = Sessions::builder(store.clone()).build();
    started(&model, &leaving, &store).await;
    leaving.shutdown(Duration::ZERO).await;

    let staying = Sessions::builder(store.clone()).build();
    let id = started(&model, &staying, &store).await;
    staying.abort(&id, AbortRequest::default()).await.unwrap();
    let mut changed = model.changed.clone();
    changed.wait_for(|count| *count > 0).await.unwrap();
    assert_eq!(model.counts.lock().unwrap().cancelled, ["resp_1"]);
}

#[tokio::test]
async fn a_request_that_is_dropped_before_its_response_has_an_id_is_cancelled_once_it_has() {
    // A session that was stopped, one that is handed over, whose log has no id, and no session.
    for liveness in [Liveness::new(), Liveness::new(), Liveness::default()] {
        let (go, waits) = watch::channel(false);
        let rules = Rules {
            hold: Some((Hold::All, 3)),
            waits: Some(waits),
            ..Rules::default()
        };
        let model = Server::start(vec![text()], rules).await;
        let mut request = ChatRequest::from_user("Hi");
        request.liveness = liveness;
        let mut provider = provider(&model);
        // What wasn't sent isn't.
        drop(provider.call(request.clone()));
        let mut asked = Box::pin(provider.call(request));
        while model.posts() == 0 {
            assert!((&mut asked).now_or_never().is_none());
            tokio::task::yield_now().await;
        }
        drop(asked);
        go.send(true).unwrap();
        model.when_cancelled(1).await;
        assert_eq!(model.cancelled(), ["resp_0"]);
        assert_eq!(model.posts(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_that_was_stopped_while_its_server_was_dead_is_cancelled() {
    for (recovery, cancels) in [
        (Recovery::new().reattach(), true),
        // A server that reads nothing on has nothing to cancel by.
        (Recovery::new(), false),
    ] {
        let rules = Rules {
            hold: Some((Hold::All, 3)),
            ..Rules::default()
        };
        let model = Server::start(vec![text()], rules).await;
        let store = Memory::new();
        let lost = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let sessions = |store: &Memory| {
            let sessions = Sessions::builder(store.clone());
            sessions.lease(Duration::from_millis(300)).build()
        };
        let id = {
            let (base_url, store) = (model.base_url(), store.clone());
            let started = lost.spawn(async move {
                let provider = builder(base_url).background(true).build().unwrap();
                started_with(provider, &sessions(&store), &store).await
            });
            started.await.unwrap()
        };
        lost.shutdown_background();
        store.abort(&id, AbortRequest::default()).await.unwrap();
        let next = sessions(&store);
        let model_of_next = provider(&model);
        let layer = DurableLayer::new(next.clone(), AnyoneWithTheId::new()).recovery(recovery);
        let _chat = layer.layer(model_of_next);
        loop {
            let state = store.state(&id).await.unwrap();
            if let Some(outcome) = state.status.outcome() {
                assert_eq!(outcome, Outcome::Aborted);
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if cancels {
            model.when_cancelled(1).await;
        }
        assert_eq!(model.cancelled().len(), usize::from(cancels));
        assert_eq!((model.posts(), model.reads().len()), (1, 0));
    }
}
