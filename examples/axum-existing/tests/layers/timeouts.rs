use std::{convert::Infallible, future::pending, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::from_fn_with_state,
    response::IntoResponse,
    routing::{Route, get as route},
};
use axum_existing::{App, auth::authenticate};
use http::StatusCode;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::{Layer, Service};
use tower_http::timeout::{
    RequestBodyTimeoutLayer, ResponseBodyDeadlineLayer, ResponseBodyTimeoutLayer, TimeoutLayer,
};

use crate::{
    client::{READ_TIMEOUT, With, get},
    server::{CHAT, Server, TIMEOUT, longer_than_the_timeout, routes, silent_after},
};

/// Serves the chat with this layer around it.
async fn under<L>(layer: L) -> Server
where
    L: Layer<
            Route,
            Service: Service<Request, Error = Infallible, Response: IntoResponse, Future: Send>,
        > + Clone
        + Send
        + Sync
        + 'static,
    L::Service: Clone + Send + Sync,
{
    let state = App::demo();
    let auth = from_fn_with_state(state.clone(), authenticate);
    Server::of(routes(&state).layer(auth).layer(layer)).await
}

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, TIMEOUT)
}

/// Waits a second for an event after the tail that does not come. Returns the status.
async fn long_poll(server: &Server) -> u16 {
    let mut answer = server.ask(&silent_after(1)).await;
    answer.until("\"1 \"").await;
    let id = answer.header("x-session-id");
    let poll = get(&format!("{CHAT}/{id}?after=2&wait=1")).by("ann");
    let poll = poll.with("accept", "application/json");
    server.send(poll).await.status()
}

#[tokio::test]
async fn a_handler_is_cut_at_the_timeout_and_an_answer_is_not() {
    let slow = Router::new().route("/api/slow", route(pending::<()>));
    let server = Server::with(slow).await;
    let cut = server.send(get("/api/slow").by("ann")).await;
    assert_eq!(cut.status(), 504);
    let answer = server.ask(&longer_than_the_timeout()).await;
    assert!(answer.whole().await.is_complete());
    assert_eq!(long_poll(&server).await, 200);
}

#[tokio::test]
async fn control_a_timeout_around_the_chat_cuts_no_stream_but_every_long_poll() {
    let server = under(timeout()).await;
    let answer = server.ask(&longer_than_the_timeout()).await;
    assert!(answer.whole().await.is_complete());
    assert_eq!(long_poll(&server).await, 504);
}

#[tokio::test]
async fn control_a_deadline_of_response_bodies_cuts_readers_and_not_the_answer() {
    let server = under(ResponseBodyDeadlineLayer::new(TIMEOUT)).await;
    let answer = server.ask(&longer_than_the_timeout()).await;
    let id = answer.header("x-session-id").to_owned();
    let mut part = answer.whole().await;
    assert!(!part.clean, "{}", part.text);
    let mut had = part.lsns();
    while !part.is_complete() {
        let after = format!("?after={}", had.len());
        part = server.read(&id, &after).await.whole().await;
        had.extend(part.lsns());
    }
    assert_eq!(had, (1..=7).collect::<Vec<_>>(), "resumed, each event once");
}

#[tokio::test]
async fn control_a_timeout_of_response_bodies_cuts_a_silent_model() {
    let server = under(ResponseBodyTimeoutLayer::new(TIMEOUT)).await;
    let part = server.ask(&silent_after(1)).await.whole().await;
    assert!(!part.clean);
    assert_eq!(part.lsns(), [1, 2]);
}

#[tokio::test]
async fn control_a_timeout_of_request_bodies_cuts_no_answer() {
    let server = under(RequestBodyTimeoutLayer::new(TIMEOUT)).await;
    let answer = server.ask(&longer_than_the_timeout()).await;
    assert!(answer.whole().await.is_complete());

    // The layer is for requests that don't arrive. The chat has its own limit, `body_timeout`.
    let mut slow = TcpStream::connect(server.addr).await.unwrap();
    let head = "POST /api/chat HTTP/1.1\r\nhost: chat\r\nauthorization: Bearer ann-token\r\n\
                content-type: application/json\r\ncontent-length: 1000\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut refused = [0; 12];
    let read = tokio::time::timeout(READ_TIMEOUT, slow.read_exact(&mut refused));
    read.await.expect("an answer").unwrap();
    assert_eq!(&refused, b"HTTP/1.1 400");
}

#[tokio::test]
async fn heartbeats_keep_a_silent_stream_from_a_timeout_of_response_bodies() {
    use futures_util::stream;
    use unbroken::{
        access::AnyoneWithTheId,
        chat::{ChatEvent, ProviderError, provider_fn},
        durable::DurableLayer,
        session::Sessions,
    };
    let silent = provider_fn(|_request| stream::pending::<Result<ChatEvent, ProviderError>>());
    let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
        .heartbeat(Duration::from_millis(20))
        .layer(silent);
    let timeout_of_bodies = Duration::from_secs(1);
    let router = unbroken_axum::mount::<_, ()>(CHAT, chat);
    let server = Server::of(router.layer(ResponseBodyTimeoutLayer::new(timeout_of_bodies))).await;
    let answer = server.ask(&json!({})).await;
    let id = answer.header("x-session-id").to_owned();
    tokio::time::sleep(timeout_of_bodies + timeout_of_bodies / 2).await;
    server.abort(&id).await;
    assert!(answer.whole().await.clean);
}
