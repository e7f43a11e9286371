//! Clients that read nothing.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use serde_json::json;
use tokio::{
    io::{AsyncWriteExt as _, duplex},
    net::TcpSocket,
    time::sleep,
};
use tower::service_fn;
use unbroken::{
    log::{Outcome, Status},
    store::{AbortRequest, Filter},
};
use unbroken_hyper::{ServerLimits, serve_connection};

use crate::{
    client::{BOTH, Version, connect, get, over, post},
    limits::closed,
    server::{MOUNT, follow, silence, start, until},
};

const PATIENCE: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_and_its_session_continues() {
    let server = start(ServerLimits::default().write_timeout(PATIENCE)).await;
    // More than the buffers of the kernel hold.
    let body = follow(&json!({"tokens": 150_000, "delayMs": 0})).to_string();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.addr).await.unwrap();
    let head = format!(
        "POST {MOUNT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    until(|| server.sessions.running() == 1).await;
    until(|| server.sessions.running() == 0).await;
    let listing = server.sessions.list(&Filter::default()).await.unwrap();
    let id = &listing.sessions[0].id;
    let session = server.sessions.attach(id).await.unwrap();
    until(|| session.clients() == 1).await;
    let state = server.sessions.state(id).await.unwrap();
    assert_eq!(state.status, Status::Ended(Outcome::Complete));
    assert_eq!(state.tail.get(), 150_002);
    let said = closed(stream).await;
    assert!(!said.ends_with("0\r\n\r\n"), "no clean end");
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_cut() {
    let server = start(ServerLimits::default().write_timeout(PATIENCE)).await;
    for version in BOTH {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let stream = socket.connect(server.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = over(stream, version).await.unwrap();
        let body = follow(&json!({"tokens": 20_000, "delayMs": 0}));
        let answer = client.get(post(MOUNT, &body)).await;
        let whole = answer.whole_slowly(PATIENCE / 10).await;
        assert!(whole.clean && whole.is_complete(), "{version:?}");
    }
}

#[tokio::test]
async fn a_stream_without_events_is_not_cut() {
    let server = start(ServerLimits::default().write_timeout(PATIENCE)).await;
    for version in BOTH {
        let mut client = connect(server.addr, version).await;
        let mut answer = client.get(post(MOUNT, &silence())).await;
        answer.until("session_info").await;
        sleep(3 * PATIENCE).await;
        let id = answer.header("x-session-id").parse().unwrap();
        let _ = server
            .sessions
            .abort(&id, AbortRequest::default())
            .await
            .unwrap();
        let whole = answer.whole().await;
        assert!(whole.clean, "{version:?}");
    }
}

#[tokio::test]
async fn a_stream_that_stalls_by_flow_control_is_reset_and_delays_no_other() {
    let server = start(ServerLimits::default().write_timeout(PATIENCE)).await;
    let mut client = connect(server.addr, Version::Http2).await;
    let body = follow(&json!({"tokens": 150_000, "delayMs": 0}));
    let stalled = client.get(post(MOUNT, &body)).await;
    let location = stalled.header("content-location").to_owned();
    let other = follow(&json!({"tokens": 10, "delayMs": 0}));
    let whole = client.get(post(MOUNT, &other)).await.whole().await;
    assert!(whole.clean && whole.is_complete());
    until(|| server.sessions.running() == 0).await;
    let id = stalled.header("x-session-id").parse().unwrap();
    let session = server.sessions.attach(&id).await.unwrap();
    // The handle of the test alone.
    until(|| session.clients() == 1).await;
    assert!(!stalled.whole().await.clean);
    let whole = client.get(get(&location)).await.whole().await;
    assert!(whole.clean && whole.is_complete());
    assert_eq!(whole.lsns().len(), 150_002);
}

/// A request over HTTP/2 of a client with a window of 1 MiB: the preface, settings, an update of the
/// connection's window, a head.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\x06\x04\0\0\0\0\0\0\x04\0\x10\0\0\
    \0\0\x04\x08\0\0\0\0\0\0\x10\0\0\
    \0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x01\x01x";

/// Returns how many bytes of an endless body the server polls for a client that reads nothing.
async fn taken(request: &[u8], limits: &ServerLimits) -> usize {
    const FRAME: usize = 16 * 1024;
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = taken.clone();
    let endless = service_fn(move |_: Request<Incoming>| {
        let counted = counted.clone();
        let frames = stream::repeat_with(move || {
            counted.fetch_add(FRAME, SeqCst);
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; FRAME])))
        });
        async { Ok::<_, Infallible>(Response::new(StreamBody::new(frames))) }
    });
    let (mut client, server) = duplex(4096);
    let connection = tokio::spawn(serve_connection(server, endless, limits));
    client.write_all(request).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    connection.abort();
    taken.load(SeqCst)
}

#[tokio::test(start_paused = true)]
async fn the_buffer_for_a_client_that_reads_nothing_is_bounded() {
    let head_bytes: fn(usize) -> ServerLimits = |bytes| ServerLimits::default().head_bytes(bytes);
    let buffer: fn(usize) -> ServerLimits = |bytes| ServerLimits::default().stream_buffer(bytes);
    for (request, limits) in [
        (&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], head_bytes),
        (HTTP2, buffer),
    ] {
        for bytes in [16 * 1024, 192 * 1024] {
            let taken = taken(request, &limits(bytes)).await;
            // The data on its way counts, and the last frame.
            assert!(
                taken >= bytes && taken <= bytes + 48 * 1024,
                "{bytes}: {taken}"
            );
        }
    }
}
