//! Every limit, just below and just above.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower_layer::Layer as _;
use unbroken::{
    access::OnlyTheOwner,
    chat::{InputId, InputRequest},
    durable::DurableLayer,
    log::Owner,
    session::{Limits, Sessions},
    store::Memory,
};

use crate::{
    client::{SOON, With, post, send},
    lost::Lost,
    server::{MOUNT, Server, ask, driven_with, id, layer, mounted, provider, serve, until},
};

/// The longest wait of a server for the rest of a refused body.
const LINGER: Duration = Duration::from_secs(1);

fn limited(limits: Limits) -> Sessions {
    Sessions::builder(Memory::new()).limits(limits).build()
}

fn sized(bytes: usize) -> Value {
    let envelope = ask("").to_string().len();
    ask(&"a".repeat(bytes - envelope))
}

#[tokio::test]
async fn a_body_has_at_most_the_limit_of_bytes() {
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| layer.max_body(1000)).await;
    let fits = send(server.addr, post(MOUNT, &sized(1000))).await;
    assert_eq!(fits.status(), 200);
    calls.next().await;
    let refused = send(server.addr, post(MOUNT, &sized(1001)))
        .await
        .whole()
        .await;
    assert_eq!(refused.status(), 413);
    assert_eq!(refused.json()["type"], "urn:unbroken:body-too-large");
    assert!(refused.json()["detail"].as_str().unwrap().contains("1000"));
    assert!(calls.none().await);
}

#[tokio::test]
async fn a_body_without_a_length_is_counted_as_it_arrives() {
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| layer.max_body(100)).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST {MOUNT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..3 {
        let chunk = format!("28\r\n{}\r\n", " ".repeat(40));
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 413"));
    assert!(calls.none().await);
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_refused_before_it_is_sent() {
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| layer.max_body(100)).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST {MOUNT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: 101\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 413"));
    assert!(calls.none().await);
}

#[tokio::test]
async fn a_client_that_is_still_sending_its_body_gets_the_refusal() {
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| layer.max_body(400_000)).await;
    for (content_type, bytes, status) in [
        ("text/plain", 390_000, 415),
        ("application/json", 700_000, 413),
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let head = format!(
            "POST {MOUNT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: {content_type}\r\ncontent-length: {bytes}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The refusal arrives long before the body is sent.
        for _ in 0..bytes / 10_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            stream
                .write_all(&[b' '; 10_000])
                .await
                .expect("it is taken");
        }
        let answer = answer(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
    assert!(calls.none().await);
}

#[tokio::test]
async fn a_client_that_is_still_sending_its_body_does_not_delay_a_shutdown() {
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| layer).await;
    let (mut read, mut write) = TcpStream::connect(server.addr).await.unwrap().into_split();
    let head = format!(
        "POST {MOUNT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: text/plain\r\ncontent-length: 100000\r\n\r\n"
    );
    write.write_all(head.as_bytes()).await.unwrap();
    let trickle = tokio::spawn(async move {
        while write.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut all = Vec::new();
    let open = tokio::time::timeout(LINGER * 2, read.read_to_end(&mut all)).await;
    assert!(open.is_err(), "it is let in while the server has time");
    assert!(String::from_utf8_lossy(&all).starts_with("HTTP/1.1 415"));
    server.sessions.shutdown(Duration::ZERO).await;
    let closed = tokio::time::timeout(LINGER * 2, read.read_to_end(&mut all)).await;
    assert!(closed.is_ok(), "not a moment longer");
    trickle.abort();
    assert!(calls.none().await);
}

#[tokio::test]
async fn a_body_that_is_too_slow_is_refused() {
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| {
        layer.body_timeout(Duration::from_millis(50))
    })
    .await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST {MOUNT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("urn:unbroken:body-too-slow"));
    assert!(calls.none().await);
    assert_eq!(server.sessions.loaded(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused_and_starts_nothing() {
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| layer).await;
    let whole = ask("Hi").to_string();
    let short = format!("content-length: {}\r\n\r\n{whole}", whole.len() + 1);
    let chunked = format!(
        "transfer-encoding: chunked\r\n\r\n{:x}\r\n{whole}\r\n",
        whole.len()
    );
    for body in [short, chunked] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let head = format!(
            "POST {MOUNT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-type: application/json\r\n{body}"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("urn:unbroken:incomplete-body"), "{answer}");
    }
    assert!(calls.none().await);
    assert_eq!(server.sessions.loaded(), 0);
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let all = async {
        let mut part = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut part).await {
            read.extend_from_slice(&part[..n]);
        }
    };
    tokio::time::timeout(SOON, all).await.expect("an answer");
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn the_limit_of_running_sessions_refuses_a_start_until_one_has_ended() {
    let sessions = limited(Limits::default().running(2));
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    let mut running = Vec::new();
    for _ in 0..2 {
        assert_eq!(
            send(server.addr, post(MOUNT, &ask("Hi"))).await.status(),
            200
        );
        running.push(calls.next().await);
    }
    let refused = send(server.addr, post(MOUNT, &ask("Hi")))
        .await
        .whole()
        .await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.json()["type"], "urn:unbroken:over-limit");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    assert!(calls.none().await);
    running.pop();
    until(async || server.sessions.running() == 1).await;
    assert_eq!(
        send(server.addr, post(MOUNT, &ask("Hi"))).await.status(),
        200
    );
}

#[tokio::test]
async fn attaching_has_no_limit() {
    let sessions = limited(Limits::default().running(1));
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    let id = "a-session-of-some-client-0001";
    let request = || post(MOUNT, &ask("Hi")).with("x-session-id", id);
    assert_eq!(send(server.addr, request()).await.status(), 200);
    let _call = calls.next().await;
    assert_eq!(send(server.addr, request()).await.status(), 200);
}

#[tokio::test]
async fn the_same_request_many_times_at_once_needs_one_permit() {
    // All look for the session before one has created it.
    let store = Lost::new();
    store.hesitate();
    let limits = Limits::default().running(1);
    let sessions = Sessions::builder(store).limits(limits).build();
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("at-once"));
        tasks.spawn(send(server.addr, request));
    }
    for answer in tasks.join_all().await {
        assert_eq!(answer.status(), 200);
    }
    let another = post(MOUNT, &ask("Hi")).with("x-session-id", id("another"));
    assert_eq!(send(server.addr, another).await.status(), 429);
    calls.next().await;
    assert!(calls.none().await);
}

#[tokio::test]
async fn the_limit_per_owner_leaves_other_owners_alone() {
    let sessions = limited(Limits::default().running_per_owner(1));
    let access = OnlyTheOwner::new(|head: &mut http::request::Parts| {
        let user = head.headers.get("x-user")?.to_str().ok()?;
        Owner::try_from(user).ok()
    });
    let (provider, calls) = provider();
    let layer = DurableLayer::new(sessions.clone(), access);
    let server = serve(sessions, mounted!(layer, provider)).await;
    let start = async |user: &str| {
        let request = post(MOUNT, &ask("Hi")).with("x-user", user);
        send(server.addr, request).await
    };
    assert_eq!(start("ann").await.status(), 200);
    let _ann = calls.next().await;
    assert_eq!(start("ann").await.status(), 429);
    assert_eq!(start("ben").await.status(), 200);
}

#[tokio::test]
async fn a_question_too_many_ends_the_oldest_answer_and_refuses_no_start() {
    let limits = Limits::default().running(1).waiting(1);
    let (server, calls) = driven_with(limited(limits), |layer| layer).await;
    let mut asked = Vec::new();
    for _ in 0..2 {
        let answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
        assert_eq!(answer.status(), 200);
        let call = calls.next().await;
        call.event(InputRequest::question(InputId::random(), "Which one?").into());
        until(async || server.sessions.waiting() == 1 && server.sessions.running() == 0).await;
        asked.push((answer, call));
    }
    let (second, second_call) = asked.pop().unwrap();
    let (first, first_call) = asked.pop().unwrap();
    let whole = first.whole().await;
    assert!(whole.clean);
    let last: Value = serde_json::from_str(whole.text().lines().last().unwrap()).unwrap();
    assert_eq!(last["event"]["type"], "error");
    assert_eq!(last["event"]["code"], "limit");
    assert_eq!(last["event"]["recoverable"], true);
    first_call.dropped().await;
    second_call.say("It was that one.");
    drop(second_call);
    assert!(second.whole().await.text().contains("complete"));
}

#[tokio::test]
async fn a_long_answer_ends_at_its_limits_with_a_terminal_event() {
    for (limits, texts) in [
        (Limits::default().session_events(4), 3),
        (Limits::default().session_bytes(400), 1),
    ] {
        let (server, calls) = driven_with(limited(limits), |layer| layer).await;
        let answer = send(server.addr, post(MOUNT, &ask("Hi"))).await;
        let call = calls.next().await;
        for _ in 0..10 {
            call.say(&"a".repeat(100));
        }
        let whole = answer.whole().await;
        assert!(whole.clean);
        let last: Value = serde_json::from_str(whole.text().lines().last().unwrap()).unwrap();
        assert_eq!(last["event"]["code"], "limit");
        assert!(whole.text().lines().count() >= texts);
        call.dropped().await;
    }
}

#[tokio::test]
async fn client_fields_are_closed_by_default() {
    let (server, calls) = driven_with(Sessions::in_memory(), |layer| layer).await;
    let closed = [
        json!({"messages": [{"role": "user", "content": "Hi"}], "model": "expensive"}),
        json!({"messages": [{"role": "user", "content": "Hi"}], "systemPrompt": "Obey."}),
        json!({"messages": [{"role": "system", "content": "Obey."}]}),
    ];
    for body in &closed {
        let refused = send(server.addr, post(MOUNT, body)).await.whole().await;
        assert_eq!(refused.status(), 422);
        assert_eq!(refused.json()["type"], "urn:unbroken:not-open");
    }
    assert!(calls.none().await);
    let (server, calls) = opened().await;
    for body in &closed {
        assert_eq!(send(server.addr, post(MOUNT, body)).await.status(), 200);
        calls.next().await;
    }
}

async fn opened() -> (Server, crate::server::Calls) {
    let sessions = Sessions::in_memory();
    let (provider, calls) = provider();
    let open = unbroken::durable::ClientFields::nothing()
        .model()
        .system_prompt()
        .system_role();
    let app = mounted!(layer(&sessions).client_fields(open), provider);
    (serve(sessions, app).await, calls)
}
