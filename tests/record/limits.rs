//! What can be refused is refused before the handler is called.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use unbroken::{
    session::{Limits, Sessions},
    store::Memory,
};

use crate::{
    app::{App, about, ask, id},
    client::With as _,
};

#[tokio::test]
async fn a_request_over_the_limit_is_refused() {
    let app = App::with(Sessions::in_memory(), |layer| layer.max_body(10)).await;
    let large = app.send(ask(&"x".repeat(11))).await.whole().await;
    assert_eq!(large.status(), 413);
    assert_eq!(large.header("content-type"), "application/problem+json");
    assert!(app.is_quiet().await);
    let (answer, _said) = app.start(ask(&"x".repeat(10))).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_body_that_is_too_slow_is_refused() {
    let app = App::with(Sessions::in_memory(), |layer| {
        layer.body_timeout(Duration::from_millis(50))
    })
    .await;
    let mut slow = TcpStream::connect(app.addr).await.unwrap();
    let head =
        b"POST /ask HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhalf";
    slow.write_all(head).await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!(app.is_quiet().await);
}

#[tokio::test]
async fn a_start_over_the_limit_is_refused_and_a_resume_is_not() {
    let limits = Limits::default().running(1);
    let sessions = Sessions::builder(Memory::new()).limits(limits).build();
    let app = App::with(sessions, |layer| layer).await;
    let request = || ask("Why?").with("x-session-id", id("one"));
    let (_answer, _said) = app.start(request()).await;
    let refused = app.send(ask("Who?")).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.head.headers.contains_key("retry-after"));
    assert_eq!(app.send(request()).await.status(), 200);
    assert_eq!(app.send(about("GET", &id("one"))).await.status(), 200);
    assert!(app.is_quiet().await);
}

#[tokio::test]
async fn a_page_of_another_site_starts_nothing() {
    let app = App::new().await;
    let cross = ask("Why?").with("sec-fetch-site", "cross-site");
    let refused = app.send(cross).await.whole().await;
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.json()["type"], "urn:unbroken:cross-site");
    assert!(app.is_quiet().await);
}
