//! The shutdown of a server.

use std::{error::Error as _, net::SocketAddr, time::Duration};

use serde_json::json;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use unbroken::log::{Outcome, Status};
use unbroken_hyper::ServerLimits;

use crate::{
    client::{BOTH, SOON, Version, connect, get, post},
    server::{MOUNT, follow, silence, start, start_with, until},
};

const LONG: Duration = Duration::from_secs(60);

/// Waits until connections are refused.
async fn refused(addr: SocketAddr) {
    let refused = async { while TcpStream::connect(addr).await.is_ok() {} };
    timeout(SOON, refused).await.expect("a refusal");
}

#[tokio::test]
async fn running_responses_finish_and_new_connections_are_refused() {
    for version in BOTH {
        let mut server = start_with(ServerLimits::default(), LONG).await;
        let mut client = connect(server.addr, version).await;
        let body = follow(&json!({"tokens": 50, "delayMs": 20}));
        let mut answer = client.get(post(MOUNT, &body)).await;
        answer.until("session_info").await;
        server.stop();
        refused(server.addr).await;
        assert!(!server.is_over(), "it waits for the answer");
        let whole = answer.whole().await;
        assert!(whole.clean && whole.is_complete(), "{version:?}");
        server.ended().await;
    }
}

#[tokio::test]
async fn responses_that_outlast_the_deadline_are_cut_visibly() {
    let deadline = Duration::from_millis(300);
    for version in BOTH {
        let mut server = start_with(ServerLimits::default(), deadline).await;
        let mut client = connect(server.addr, version).await;
        let mut answer = client.get(post(MOUNT, &silence())).await;
        answer.until("session_info").await;
        let began = Instant::now();
        server.stop();
        let whole = answer.whole().await;
        assert!(began.elapsed() >= deadline);
        let error = whole.error.expect("no clean end");
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        let rule = match version {
            Version::Http1 => "unexpected EOF during chunk size line",
            Version::Http2 => "stream error received: unexpected internal error",
        };
        assert!(cause.contains(rule), "{error:?}");
        server.ended().await;
        assert_eq!(server.sessions.running(), 0);
    }
}

#[tokio::test]
async fn a_session_without_a_reader_may_finish_too() {
    let mut server = start_with(ServerLimits::default(), LONG).await;
    let mut client = connect(server.addr, Version::Http1).await;
    let body = follow(&json!({"tokens": 20, "delayMs": 20}));
    let answer = client.get(post(MOUNT, &body)).await;
    let id = answer.header("x-session-id").parse().unwrap();
    drop((answer, client));
    server.stop();
    server.ended().await;
    let state = server.sessions.state(&id).await.unwrap();
    assert_eq!(state.status, Status::Ended(Outcome::Complete));
}

#[tokio::test]
async fn idle_connections_end_at_once() {
    let mut server = start_with(ServerLimits::default(), LONG).await;
    let mut used = [
        connect(server.addr, Version::Http1).await,
        connect(server.addr, Version::Http2).await,
    ];
    for client in &mut used {
        client.get(get("/")).await.whole().await;
    }
    let fresh = connect(server.addr, Version::Http2).await;
    let silent = TcpStream::connect(server.addr).await.unwrap();
    // A running session keeps the server from ending.
    let mut running = connect(server.addr, Version::Http2).await;
    let answer = running.get(post(MOUNT, &silence())).await;
    server.stop();
    for mut client in used.into_iter().chain([fresh]) {
        client.closed().await;
    }
    crate::limits::closed(silent).await;
    assert!(!server.is_over() && !running.is_closed());
    drop(answer);
}

#[tokio::test]
async fn nothing_changes_before_the_signal() {
    let server = start_with(ServerLimits::default(), Duration::ZERO).await;
    let mut client = connect(server.addr, Version::Http1).await;
    let body = follow(&json!({"tokens": 20, "delayMs": 10}));
    let whole = client.get(post(MOUNT, &body)).await.whole().await;
    assert!(whole.clean && !server.is_over());
    let whole = client.get(post(MOUNT, &body)).await.whole().await;
    assert!(whole.clean, "on the same connection");
}

#[tokio::test(start_paused = true)]
async fn without_a_hand_over_connections_have_a_default_deadline() {
    let (listener, _) = crate::server::bind().await;
    let sessions = unbroken::session::Sessions::in_memory();
    let signal = async {};
    let serving = unbroken_hyper::serve(listener, crate::server::chat(&sessions))
        .with_graceful_shutdown(signal)
        .into_future();
    serving.await; // There are no connections to wait for.

    let mut server = start(ServerLimits::default()).await;
    let mut client = connect(server.addr, Version::Http1).await;
    let mut answer = client.get(post(MOUNT, &silence())).await;
    answer.until("session_info").await;
    let began = Instant::now();
    server.stop();
    let whole = timeout(2 * LONG, answer.whole_for(2 * LONG)).await.unwrap();
    assert!(!whole.clean);
    let waited = began.elapsed();
    let promised = Duration::from_secs(30) + ServerLimits::default().flush_timeout;
    assert!(
        waited >= promised && waited < promised + LONG / 10,
        "{waited:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn all_sessions_that_are_handed_over_are_shut_down() {
    let (listener, _) = crate::server::bind().await;
    let both = [(); 2].map(|()| unbroken::session::Sessions::in_memory());
    let [one, two] = both.clone();
    unbroken_hyper::serve(listener, crate::server::chat(&one))
        .hand_over(one, DEADLINE)
        .hand_over(two, DEADLINE)
        .with_graceful_shutdown(async {})
        .await;
    for sessions in both {
        assert!(sessions.permit(None).is_err(), "it still takes sessions");
    }
}

const DEADLINE: Duration = Duration::from_secs(2);
const FLUSH: Duration = Duration::from_secs(2);
/// The extra time for a store that hangs, here for a slow machine.
const GRACE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_ends_by_the_deadline_whatever_clients_do() {
    let limits = ServerLimits::default().flush_timeout(FLUSH);
    let mut server = start_with(limits, DEADLINE).await;
    let mut answers = Vec::new();
    let mut clients = Vec::new();
    for version in BOTH {
        let mut client = connect(server.addr, version).await;
        let body = follow(&json!({"tokens": 200_000, "delayMs": 0}));
        answers.push(client.get(post(MOUNT, &body)).await);
        clients.push(client);
    }
    let half = TcpStream::connect(server.addr).await.unwrap();
    half.writable().await.unwrap();
    half.try_write(b"GET / HTTP/1.1\r\n").unwrap();
    let asked = Instant::now();
    server.stop();
    server.ended().await;
    let took = asked.elapsed();
    assert!(took < DEADLINE + FLUSH + GRACE, "{took:?}");
    for answer in answers {
        let whole = answer.whole().await;
        assert!(!whole.clean, "a cut is seen as one");
    }
    until(|| server.sessions.running() == 0).await;
}
