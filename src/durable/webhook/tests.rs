//! Hosts whose addresses change, with the client's real connections.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{Webhook, WebhookFailure, resolver::CheckedResolver};
use crate::{
    chat::{ChatRequest, Transcript},
    durable::{Outbox, SessionEnded},
    log::{Outcome, SessionId},
};

/// Stands for the addresses that may be called; all of loopback otherwise for those that may not.
const ALLOWED: &str = "127.0.0.1";
const REFUSED: &str = "127.0.0.2";

/// Answers each request with 200 and the end of the connection, and counts.
fn answering(listener: TcpListener) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, SeqCst);
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                let _ = socket.read(&mut request).await;
                let reply = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                let _ = socket.write_all(reply).await;
            });
        }
    });
    count
}

fn ended() -> SessionEnded {
    let request = ChatRequest::from_user("Hi");
    let id = SessionId::random();
    SessionEnded::new(id, request, Transcript::new(), Outcome::Complete)
}

fn webhook(port: u16, answers: &[&[&str]]) -> (Webhook, Arc<AtomicUsize>) {
    let ip = |text: &&str| text.parse::<IpAddr>().unwrap();
    let answers = answers.iter().map(|it| it.iter().map(ip).collect());
    let (resolver, lookups) = CheckedResolver::of(answers.collect(), |it| {
        it == ALLOWED.parse::<IpAddr>().unwrap()
    });
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let url = format!("http://receiver.example:{port}/");
    let webhook = Webhook::builder(url, secret).allow_http();
    (webhook.build_with(resolver).unwrap(), lookups)
}

/// Listens at this port of the address that may be called, or a free one, and of the other.
async fn listeners() -> (TcpListener, TcpListener, u16) {
    loop {
        let allowed = TcpListener::bind((ALLOWED, 0)).await.unwrap();
        let port = allowed.local_addr().unwrap().port();
        if let Ok(refused) = TcpListener::bind((REFUSED, port)).await {
            return (allowed, refused, port);
        }
    }
}

#[tokio::test]
async fn a_host_that_moves_after_the_check_is_checked_anew_and_the_new_place_is_not_called() {
    let (allowed, refused, port) = listeners().await;
    let (allowed, refused) = (answering(allowed), answering(refused));
    let (webhook, lookups) = webhook(port, &[&[ALLOWED], &[REFUSED], &[ALLOWED]]);
    webhook.deliver(&ended()).await.unwrap();
    assert_eq!(
        lookups.load(SeqCst),
        1,
        "checked and connected by one look-up"
    );
    let moved = webhook.deliver(&ended()).await;
    assert!(
        matches!(moved, Err(WebhookFailure::PrivateAddress)),
        "{moved:?}"
    );
    webhook.deliver(&ended()).await.unwrap();
    assert_eq!(lookups.load(SeqCst), 3);
    assert_eq!((allowed.load(SeqCst), refused.load(SeqCst)), (2, 0));
}

#[tokio::test]
async fn of_several_addresses_only_those_that_may_be_called_are_tried() {
    let (allowed, refused, port) = listeners().await;
    let refused = answering(refused);
    drop(allowed); // nothing answers there, so that others would be tried next
    for answer in [[ALLOWED, REFUSED], [REFUSED, ALLOWED]] {
        let (webhook, _) = webhook(port, &[&answer]);
        let failure = webhook.deliver(&ended()).await;
        assert!(
            matches!(failure, Err(WebhookFailure::Unreachable { .. })),
            "{failure:?}"
        );
    }
    assert_eq!(refused.load(SeqCst), 0);
}

#[tokio::test]
async fn a_host_without_addresses_is_unknown() {
    let (webhook, lookups) = webhook(80, &[&[]]);
    let failure = webhook.deliver(&ended()).await;
    assert!(
        matches!(failure, Err(WebhookFailure::UnknownHost { .. })),
        "{failure:?}"
    );
    assert_eq!(lookups.load(SeqCst), 1);
}

#[test]
fn a_delivery_of_the_outbox_has_more_time_than_an_attempt() {
    for (attempt, delivery) in [(1, 30), (20, 30), (60, 70)] {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let webhook = Webhook::builder("https://example.com/", secret);
        let webhook = webhook.timeout(Duration::from_secs(attempt));
        let outbox = Outbox::webhook(webhook.build().unwrap());
        let shown = format!("{outbox:?}");
        assert!(shown.contains(&format!("timeout: {delivery}s")), "{shown}");
    }
}
