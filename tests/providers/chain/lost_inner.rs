//! The other server is lost or handed over, and another one behind its address goes on.

use std::time::Duration;

use axum::{Router, body::Body};
use futures_util::stream;
use http::Request;
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};
use unbroken::{
    chat::{Provider, Transcript, provider_fn},
    durable::Recovery,
    log::ErrorCode,
    store::Memory,
};

use super::{model::mounted_with, *};

const WORDS: [&str; 5] = ["One, ", "two, ", "three, ", "four, ", "five."];

/// A model that goes on from a part of its text. It waits after so many words of the whole.
fn model(gate: &watch::Sender<usize>) -> impl Provider + Sync + use<> {
    let gate = gate.clone();
    provider_fn(move |request: ChatRequest| {
        let said = request.so_far.as_ref().map_or(0, |it| it.text().len());
        let mut at = 0;
        let mut left = said;
        while left > 0 {
            left -= WORDS[at].len();
            at += 1;
        }
        let gate = gate.subscribe();
        stream::unfold((at, gate), |(at, mut gate)| async move {
            let word = WORDS.get(at)?;
            gate.wait_for(|open| *open > at).await.ok()?;
            Some((
                Ok::<_, ProviderError>(ChatEvent::text(*word)),
                (at + 1, gate),
            ))
        })
    })
}

/// A server on a runtime of its own.
pub(crate) fn on_own_runtime(app: Router) -> (Router, Runtime) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let handle = runtime.handle().clone();
    let app = Router::new().fallback(move |request: Request<Body>| {
        let answered = handle.spawn(app.clone().oneshot(request));
        async move { answered.await.unwrap().unwrap() }
    });
    (app, runtime)
}

/// Loses the other server in the middle of an answer. Returns what came of it here.
async fn lost(recovery: Recovery, handed_over: bool) -> (Transcript, Result<(), ProviderError>) {
    let store = Memory::new();
    let sessions = |store: &Memory| {
        Sessions::builder(store.clone())
            .lease(Duration::from_millis(300))
            .build()
    };
    let gate = watch::Sender::new(3);
    let first = sessions(&store);
    let app = mounted_with(first.clone(), model(&gate), recovery.clone());
    let (app, runtime) = on_own_runtime(app);
    let server = InnerServer::start(app).await;
    let builder = UnbrokenUpstream::builder(server.url());
    let provider = builder
        .idle_timeout(Duration::from_millis(700))
        .build()
        .unwrap();
    let mut stream = provider
        .oneshot(ChatRequest::from_user("Count!"))
        .await
        .unwrap();
    let mut answer = Transcript::new();
    while answer.text() != WORDS[..3].concat() {
        answer.push(&stream.try_next().await.unwrap().unwrap());
    }
    let second = sessions(&store);
    server.replace(Some(mounted_with(second, model(&gate), recovery)));
    if handed_over {
        first.shutdown(Duration::ZERO).await;
    }
    runtime.shutdown_background();
    gate.send_replace(usize::MAX);
    let ended = loop {
        match stream.try_next().await {
            Ok(Some(event)) => answer.push(&event),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert_eq!(server.count("POST", "/api/chat"), 1);
    assert!(!server.reads().is_empty());
    (answer, ended)
}

#[tokio::test]
async fn an_answer_that_another_server_goes_on_with_is_whole() {
    for handed_over in [true, false] {
        let (answer, ended) = lost(Recovery::new().resume(), handed_over).await;
        ended.unwrap();
        assert_eq!(answer.text(), WORDS.concat(), "{handed_over}");
        assert!(answer.ending().is_some());
    }
}

#[tokio::test]
async fn an_answer_that_ends_or_begins_anew_is_interrupted_and_shows_no_text_twice() {
    for recovery in [Recovery::new(), Recovery::new().restart()] {
        let (answer, ended) = lost(recovery, true).await;
        let error = ended.unwrap_err();
        assert_eq!(error.code(), ErrorCode::Interrupted, "{error}");
        assert!(error.is_recoverable());
        assert_eq!(answer.text(), WORDS[..3].concat());
        assert_eq!(answer.ending(), None);
    }
}
