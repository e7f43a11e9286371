use std::time::Duration;

use axum_existing::{App, chat, layers::app, notes};
use tokio::{net::TcpListener, sync::oneshot};
use unbroken::{durable::ClientFields, provider::Scripted, session::Sessions, store::Memory};

use crate::{
    client::{READ_TIMEOUT, With, try_send},
    server::{ask, settings, silent_after},
};

/// Returns true if a server stops on request during an answer.
async fn stops(shut_down: bool) -> bool {
    // The second handle is another server's: without it, the answer would end with the store.
    let store = Memory::new();
    let sessions = Sessions::builder(store.clone()).build();
    let state = App::demo();
    let open = ClientFields::nothing().field("script");
    let chat = chat::routes(sessions.clone(), state.clone(), open, Scripted::default());
    let app = app(notes::routes(), chat, state, &settings());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stop_requested) = oneshot::channel();
    let serving = tokio::spawn(async move {
        let stopping = async move {
            stop_requested.await.unwrap_or_default();
            if shut_down {
                sessions.shutdown(Duration::ZERO).await;
            }
        };
        axum::serve(listener, app)
            .with_graceful_shutdown(stopping)
            .await
    });
    let mut answer = try_send(addr, ask(&silent_after(1)).by("ann"))
        .await
        .unwrap();
    answer.until("\"1 \"").await;
    stop.send(()).unwrap();
    let reading = tokio::spawn(answer.whole());
    let limit = if shut_down {
        READ_TIMEOUT
    } else {
        Duration::from_millis(300)
    };
    let stopped = tokio::time::timeout(limit, serving).await.is_ok();
    if shut_down {
        assert!(!reading.await.unwrap().clean, "the body fails");
    } else {
        reading.abort();
    }
    drop(store);
    stopped
}

#[tokio::test]
async fn a_server_stops_during_an_endless_answer() {
    assert!(stops(true).await);
}

#[tokio::test]
async fn control_without_the_shutdown_of_the_sessions_it_waits_for_the_last_reader() {
    assert!(!stops(false).await);
}
