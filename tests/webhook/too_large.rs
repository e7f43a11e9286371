//! Receivers that take smaller bodies than are sent.

use std::{sync::mpsc, time::Duration};

use tokio::{
    task::{spawn_blocking, yield_now},
    time::{Instant, advance},
};
use unbroken::durable::{WebhookContent, WebhookFailure};

use crate::receiver::{GUARD, Receiver, Reply, ended};

#[tokio::test]
async fn a_receiver_that_refuses_the_content_gets_the_ending_without_it_in_the_same_attempt() {
    let mut receiver = Receiver::of(vec![Reply::status(413), Reply::status(200)]).await;
    let webhook = receiver.webhook().build().unwrap();
    webhook.deliver(&ended("Hello there.")).await.unwrap();
    let (first, second) = (receiver.next().await, receiver.next().await);
    let (whole, without) = (first.json(), second.json());
    assert_eq!(whole["data"]["contentOmitted"], false);
    assert_eq!(whole["data"]["messages"][0]["content"], "Hello there.");
    assert_eq!(without["data"]["contentOmitted"], true);
    assert_eq!(without["data"].get("messages"), None);
    assert_eq!(without["data"]["usage"], whole["data"]["usage"]);
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_ne!(
        first.header("webhook-signature"),
        second.header("webhook-signature")
    );
    assert!(receiver.no_further());
}

#[tokio::test]
async fn it_is_sent_without_content_once_and_only_if_content_was_refused() {
    for (content, max_body, requests) in [
        (WebhookContent::Answer, 64 * 1024, 2),
        (WebhookContent::Text, 64 * 1024, 2),
        (WebhookContent::Omit, 64 * 1024, 1),
        (WebhookContent::Answer, 0, 1),
    ] {
        let receiver = Receiver::with(Reply::status(413)).await;
        let webhook = receiver.webhook().content(content).max_body(max_body);
        let webhook = webhook.build().unwrap();
        let failure = webhook.deliver(&ended("Hello there.")).await.unwrap_err();
        assert!(
            matches!(failure, WebhookFailure::Status { status: 413 }),
            "{failure:?}"
        );
        assert_eq!(receiver.connections(), requests, "{content:?} {max_body}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_requests_share_the_time_of_the_attempt() {
    // While this thread waits, the clock moves by `advance` only.
    let (done, wait) = mpsc::channel::<()>();
    let clock = spawn_blocking(move || wait.recv_timeout(GUARD));
    let pause = Duration::from_secs(15);
    let replies = vec![Reply::After(pause, 413), Reply::Nothing];
    let mut receiver = Receiver::of(replies).await;
    let webhook = receiver.webhook().timeout(Duration::from_secs(20));
    let webhook = webhook.build().unwrap();
    let began = Instant::now();
    let delivery = tokio::spawn(async move { webhook.deliver(&ended("Hello there.")).await });
    receiver.next().await;
    advance(pause).await;
    receiver.next().await;
    advance(Duration::from_secs(4)).await;
    for _ in 0..10 {
        yield_now().await;
    }
    assert!(!delivery.is_finished(), "the time isn't over");
    advance(Duration::from_secs(2)).await;
    let failure = delivery.await.unwrap().unwrap_err();
    assert!(matches!(failure, WebhookFailure::Timeout), "{failure:?}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(22), "{took:?}");
    drop(done);
    assert!(clock.await.unwrap().is_err());
}

/// By default.
#[tokio::test]
async fn a_body_of_more_than_64_kib_is_sent_without_its_content() {
    for (length, whole) in [(60 * 1024, true), (64 * 1024, false)] {
        let mut receiver = Receiver::with(Reply::status(200)).await;
        let webhook = receiver.webhook().build().unwrap();
        webhook.deliver(&ended(&"a".repeat(length))).await.unwrap();
        let delivery = receiver.next().await;
        assert_eq!(delivery.json()["data"]["contentOmitted"], !whole);
        assert!(delivery.body.len() <= 64 * 1024);
        assert_eq!(receiver.connections(), 1);
    }
}
