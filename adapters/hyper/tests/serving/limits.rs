//! Each limit, just below and just above it.

use std::{net::SocketAddr, time::Duration};

use http::Request;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use unbroken::session::Sessions;
use unbroken_hyper::{ConnectionError, ServerLimits, serve_connection};

use crate::{
    client::{BOTH, SOON, Version, connect, get, over, post},
    server::{MOUNT, chat, follow, silence, start, start_with, until},
};

/// The time after which an unwanted event would have happened.
const WHILE: Duration = Duration::from_millis(200);

/// Waits until the server has closed this connection, and returns its response.
pub(crate) async fn closed(mut stream: impl AsyncRead + Unpin) -> String {
    let mut said = Vec::new();
    // A reset counts as an end.
    let _ = timeout(SOON, stream.read_to_end(&mut said))
        .await
        .expect("the server closes it");
    String::from_utf8_lossy(&said).into_owned()
}

/// Serves a connection in memory, with a paused clock.
fn connection(limits: &ServerLimits) -> (DuplexStream, JoinHandle<Result<(), ConnectionError>>) {
    let (client, server) = duplex(64 * 1024);
    let connection = serve_connection(server, chat(&Sessions::in_memory()), limits);
    (client, tokio::spawn(connection))
}

async fn raw(addr: SocketAddr, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn connections_past_the_limit_wait_until_another_has_ended() {
    let server = start(ServerLimits::default().connections(2)).await;
    let mut first = connect(server.addr, Version::Http1).await;
    assert_eq!(first.get(get("/")).await.status(), 404);
    let mut second = connect(server.addr, Version::Http2).await;
    assert_eq!(second.get(get("/")).await.status(), 404);

    let mut third = connect(server.addr, Version::Http1).await;
    let mut waiting = Box::pin(third.send(get("/")));
    timeout(WHILE, &mut waiting).await.expect_err("no answer");
    drop(first);
    let answer = timeout(SOON, waiting).await.expect("an answer");
    assert_eq!(answer.unwrap().status(), 404);
}

#[tokio::test]
async fn a_head_past_its_bytes_is_refused() {
    let most = 10_000;
    let server = start(ServerLimits::default().head_bytes(most)).await;
    let head = |bytes: usize| {
        let (begin, end) = (
            "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nlong: ",
            "\r\n\r\n",
        );
        let long = "a".repeat(bytes - begin.len() - end.len());
        format!("{begin}{long}{end}")
    };
    let said = closed(raw(server.addr, &head(most)).await).await;
    assert!(said.starts_with("HTTP/1.1 404"), "{said}");
    let said = closed(raw(server.addr, &head(2 * most + 1)).await).await;
    assert!(said.starts_with("HTTP/1.1 431"), "{said}");

    let mut client = connect(server.addr, Version::Http2).await;
    // HTTP/2 counts the name and the value of each field, and 32 bytes.
    let fixed = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "server"),
        (":path", "/"),
    ]
    .iter()
    .map(|(name, value)| name.len() + value.len() + 32)
    .sum::<usize>();
    let with = |bytes: usize| {
        let long = "a".repeat(bytes - fixed - "long".len() - 32);
        Request::get("http://server/")
            .header("long", long)
            .body(http_body_util::Full::default())
            .unwrap()
    };
    assert_eq!(client.get(with(most)).await.status(), 404);
    match timeout(SOON, client.send(with(most + 1))).await.unwrap() {
        Ok(refused) => assert_eq!(refused.status(), 431),
        Err(reset) => assert!(!reset.is_timeout(), "{reset}"),
    }
}

#[tokio::test]
async fn a_head_with_too_many_fields_is_refused() {
    let server = start(ServerLimits::default().head_fields(20)).await;
    let head = |fields: usize| {
        let fields = "a: b\r\n".repeat(fields - 1);
        format!("GET / HTTP/1.1\r\nconnection: close\r\n{fields}\r\n")
    };
    let said = closed(raw(server.addr, &head(20)).await).await;
    assert!(said.starts_with("HTTP/1.1 404"), "{said}");
    let said = closed(raw(server.addr, &head(21)).await).await;
    assert!(said.starts_with("HTTP/1.1 431"), "{said}");
}

#[tokio::test]
async fn a_head_must_come_in_time() {
    let head = Duration::from_millis(400);
    let server = start(ServerLimits::default().head_timeout(head)).await;
    for part in [
        "",
        "GET / HT",
        "GET / HTTP/1.1\r\nhost: x\r\n",
        "PRI * HTTP/2.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let began = Instant::now();
        closed(raw(server.addr, part).await).await;
        assert!(began.elapsed() >= head * 9 / 10, "{part:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_slowly_is_answered_if_it_comes_in_time() {
    let head = Duration::from_millis(400);
    let (mut slow, _task) = connection(&ServerLimits::default().head_timeout(head));
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    sleep(head * 9 / 10).await;
    slow.write_all(b"connection: close\r\n\r\n").await.unwrap();
    let said = closed(slow).await;
    assert!(said.starts_with("HTTP/1.1 404"), "{said}");
}

#[tokio::test]
async fn the_time_for_a_head_is_not_the_time_for_an_answer() {
    let server = start(
        ServerLimits::default()
            .head_timeout(WHILE)
            .idle_timeout(WHILE),
    )
    .await;
    for version in BOTH {
        let mut client = connect(server.addr, version).await;
        let mut answer = client.get(post(MOUNT, &silence())).await;
        answer.until("session_info").await;
        sleep(3 * WHILE).await;
        assert!(!client.is_closed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let idle = Duration::from_millis(300);
    for (version, limits) in [
        (Version::Http1, ServerLimits::default().idle_timeout(idle)),
        (Version::Http1, ServerLimits::default().head_timeout(idle)),
        (Version::Http2, ServerLimits::default().idle_timeout(idle)),
    ] {
        let (io, _task) = connection(&limits);
        let mut client = over(io, version).await.unwrap();
        for _ in 0..3 {
            // A connection in use lives longer than the timeout.
            sleep(idle * 9 / 10).await;
            client.get(get("/")).await.whole().await;
        }
        let began = Instant::now();
        client.closed().await;
        let waited = began.elapsed();
        assert!(
            waited >= idle && waited < 2 * idle,
            "{version:?}: {waited:?}"
        );
    }
}

#[tokio::test]
async fn the_longest_times_are_no_limits() {
    let max = Duration::MAX;
    let limits = ServerLimits::default()
        .head_timeout(max)
        .idle_timeout(max)
        .write_timeout(max)
        .flush_timeout(max);
    let limits = limits.ping_interval(max).ping_timeout(max);
    let mut server = start_with(limits, max).await;
    for version in BOTH {
        let mut client = connect(server.addr, version).await;
        for _ in 0..2 {
            let body = follow(&json!({"tokens": 3, "delayMs": 0}));
            let whole = client.get(post(MOUNT, &body)).await.whole().await;
            assert!(whole.clean && whole.is_complete(), "{version:?}");
        }
    }
    server.stop();
    server.ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_first_request_came_late_is_idle_in_time() {
    let (head, idle) = (Duration::from_secs(30), Duration::from_secs(1));
    let limits = ServerLimits::default()
        .head_timeout(head)
        .idle_timeout(idle);
    let (io, _task) = connection(&limits);
    let mut client = over(io, Version::Http2).await.unwrap();
    sleep(2 * idle).await;
    client.get(get("/")).await.whole().await;
    let began = Instant::now();
    client.closed().await;
    let waited = began.elapsed();
    assert!(waited >= idle && waited < 2 * idle, "{waited:?}");
}

#[tokio::test]
async fn the_streams_of_a_connection_are_limited() {
    let server = start(ServerLimits::default().streams(2)).await;
    let mut client = connect(server.addr, Version::Http2).await;
    client.get(get("/")).await.whole().await; // The settings have arrived.
    let first = client.get(post(MOUNT, &silence())).await;
    let _second = client.get(post(MOUNT, &silence())).await;
    let mut third = Box::pin(client.send(post(MOUNT, &silence())));
    timeout(WHILE, &mut third).await.expect_err("no answer");
    assert_eq!(server.sessions.running(), 2);
    drop(first);
    let third = timeout(SOON, third).await.expect("an answer").unwrap();
    assert_eq!(third.status(), 200);
}

#[tokio::test]
async fn an_http2_client_that_does_not_answer_pings_is_disconnected() {
    let (ping, patience) = (Duration::from_millis(100), Duration::from_millis(200));
    let server = start(
        ServerLimits::default()
            .ping_interval(ping)
            .ping_timeout(patience),
    )
    .await;
    let body = follow(&json!({"fault": {"at": 0, "kind": "hang"}}));
    let mut alive = connect(server.addr, Version::Http2).await;
    let mut answer = alive.get(post(MOUNT, &body)).await;
    answer.until("session_info").await;
    let id = answer.header("x-session-id").parse().unwrap();
    let session = server.sessions.attach(&id).await.unwrap();

    // The preface, empty settings, and a GET of the session: indexed fields, then the path.
    let path = format!("{MOUNT}/{id}");
    let mut block = vec![0x82, 0x86, 0x01, 0x01, b'x', 0x04];
    block.push(u8::try_from(path.len()).unwrap());
    block.extend(path.as_bytes());
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend([u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1]);
    let at = bytes.len() - 7;
    bytes.splice(at..at, [0, 0]);
    bytes.extend(block);
    let mut mute = TcpStream::connect(server.addr).await.unwrap();
    mute.write_all(&bytes).await.unwrap();
    // The handle of the test, the first reader, and the reader of the silent client.
    until(|| session.clients() == 3).await;
    until(|| session.clients() == 2).await;
    closed(mute).await;
    sleep(3 * (ping + patience)).await;
    assert!(
        !alive.is_closed(),
        "a silent answer to a live client goes on"
    );
    assert_eq!(session.clients(), 2);
}
