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

use super::{Webhook, WebhookError, WebhookFailure, resolver::CheckedResolver};
use crate::{
    chat::{ChatRequest, Transcript},
    durable::{Outbox, SessionEnded},
    log::{Outcome, SessionId},
};

/// Stands for the addresses that may be called; all of loopback otherwise for those that may not.
const ALLOWED: &str = "127.0.0.1";
const REFUSED: &str = "127.0.0.2";

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

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

/// The time for which these tests keep an unused connection.
const IDLE: Duration = Duration::from_millis(500);
/// The number of tries to share a connection. One is free a little after its response, which a next delivery may be
/// too early for.
const TRIES: usize = 50;

/// A receiver that keeps its connections.
#[derive(Default)]
struct Keeping {
    opened: AtomicUsize,
    closed: AtomicUsize,
}

impl Keeping {
    fn serve(listener: TcpListener) -> Arc<Self> {
        let keeping = Arc::new(Self::default());
        let counts = keeping.clone();
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                counts.opened.fetch_add(1, SeqCst);
                let counts = counts.clone();
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while socket
                        .read_buf(&mut request)
                        .await
                        .is_ok_and(|read| read > 0)
                    {
                        // The whole JSON is there.
                        if request.ends_with(b"}}") {
                            request.clear();
                            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                            let _ = socket.write_all(reply).await;
                        }
                    }
                    counts.closed.fetch_add(1, SeqCst);
                });
            }
        });
        keeping
    }

    /// Waits until the sender has closed all connections.
    async fn all_closed(&self) {
        while self.closed.load(SeqCst) < self.opened.load(SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
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
    let url = format!("http://receiver.example:{port}/");
    let webhook = Webhook::builder(url, SECRET).allow_http();
    let webhook = webhook.pool_idle(IDLE);
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

#[tokio::test]
async fn a_connection_is_shared_until_it_is_idle_for_too_long_and_the_next_one_is_checked_anew() {
    let (allowed, _refused, port) = listeners().await;
    let receiver = Keeping::serve(allowed);
    let (webhook, lookups) = webhook(port, &[&[ALLOWED][..]; TRIES + 1]);
    let mut shared = false;
    for _ in 0..TRIES {
        let before = (lookups.load(SeqCst), receiver.opened.load(SeqCst));
        webhook.deliver(&ended()).await.unwrap();
        shared = before == (lookups.load(SeqCst), receiver.opened.load(SeqCst));
        if shared {
            break;
        }
    }
    assert!(shared, "each delivery had a connection of its own");
    receiver.all_closed().await;
    let before = (lookups.load(SeqCst), receiver.opened.load(SeqCst));
    webhook.deliver(&ended()).await.unwrap();
    let after = (lookups.load(SeqCst), receiver.opened.load(SeqCst));
    assert_eq!(after, (before.0 + 1, before.1 + 1));
}

#[tokio::test]
async fn webhooks_to_other_urls_share_the_connections() {
    let (allowed, _refused, port) = listeners().await;
    let receiver = Keeping::serve(allowed);
    let (webhook, lookups) = webhook(port, &[&[ALLOWED][..]; 2 * TRIES]);
    let mut shared = false;
    for _ in 0..TRIES {
        webhook.deliver(&ended()).await.unwrap();
        let before = (lookups.load(SeqCst), receiver.opened.load(SeqCst));
        let url = format!("http://receiver.example:{port}/other");
        let other = webhook.to(url, OTHER_SECRET).unwrap();
        // With a client of its own its first delivery would always connect.
        other.deliver(&ended()).await.unwrap();
        shared = before == (lookups.load(SeqCst), receiver.opened.load(SeqCst));
        if shared {
            break;
        }
    }
    assert!(shared, "each had connections of its own");
}

#[test]
fn a_webhook_to_another_url_is_checked_by_the_same_options() {
    let webhook = Webhook::new("https://example.com/", SECRET).unwrap();
    let refused = |url, secret| webhook.to(url, secret).unwrap_err();
    let error = refused("http://example.com/", SECRET);
    assert!(matches!(error, WebhookError::NotHttps));
    let error = refused("https://10.0.0.1/", SECRET);
    assert!(matches!(error, WebhookError::PrivateAddress));
    let error = refused("https://example.com/", "secret");
    assert!(matches!(error, WebhookError::Secret));
    webhook.to("https://example.org/", SECRET).unwrap();
    let builder = Webhook::builder("https://example.com/", SECRET);
    let own = builder.allow_http().allow_private_addresses();
    let own = own.build().unwrap();
    own.to("http://10.0.0.1/", SECRET).unwrap();
}

#[test]
fn a_delivery_of_the_outbox_has_more_time_than_an_attempt() {
    for (attempt, delivery) in [(1, 30), (20, 30), (60, 70)] {
        let webhook = Webhook::builder("https://example.com/", SECRET);
        let webhook = webhook.timeout(Duration::from_secs(attempt));
        let outbox = Outbox::webhook(webhook.build().unwrap());
        let shown = format!("{outbox:?}");
        assert!(shown.contains(&format!("timeout: {delivery}s")), "{shown}");
    }
}
