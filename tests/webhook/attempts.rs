//! One attempt, and the receivers that it meets.

use std::{
    error::Error,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::time::timeout;
use unbroken::durable::{Webhook, WebhookContent, WebhookFailure};

use crate::{
    certificates::HOST,
    receiver::{GUARD, Receiver, Reply, SECRET, ended},
};

/// Of attempts that come to their end by time.
const LIMIT: Duration = Duration::from_millis(300);

async fn delivered(webhook: &Webhook) -> Result<(), WebhookFailure> {
    let attempt = timeout(GUARD, async {
        webhook.deliver(&ended("Hello there.")).await
    });
    let result = attempt.await.expect("an end");
    if let Err(failure) = &result {
        assert_tells_nothing(failure);
    }
    result
}

async fn delivered_to(receiver: &Receiver) -> Result<(), WebhookFailure> {
    delivered(&receiver.webhook().build().unwrap()).await
}

/// Neither the URL, a secret nor what the receiver says is in an error or its sources.
pub(crate) fn assert_tells_nothing(failure: &WebhookFailure) {
    let all = std::iter::successors(Some(failure as &dyn Error), |it| (*it).source());
    let shown: Vec<_> = all.map(|it| format!("{it} {it:?}")).collect();
    let shown = shown.join(" ");
    for hidden in [
        "path-key",
        "query-key",
        "KQ9r8GKYq",
        "private-say",
        "localhost",
        HOST,
    ] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[tokio::test]
async fn a_delivery_has_the_headers_of_the_specification() {
    let mut receiver = Receiver::with(Reply::status(204)).await;
    let before = SystemTime::now();
    let ended = ended("Hello there.");
    let webhook = receiver.webhook().build().unwrap();
    webhook.deliver(&ended).await.unwrap();
    let delivery = receiver.next().await;
    assert!(
        delivery
            .head
            .starts_with("POST /path-key?query-key HTTP/1.1\r\n"),
        "{}",
        delivery.head
    );
    assert_eq!(delivery.header("content-type"), "application/json");
    assert_eq!(delivery.header("webhook-id"), ended.ending_id);
    let timestamp: u64 = delivery.header("webhook-timestamp").parse().unwrap();
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((seconds(before)..=seconds(SystemTime::now())).contains(&timestamp));
    let signature = delivery.header("webhook-signature");
    assert_eq!((&signature[..3], signature.len()), ("v1,", 3 + 44));
    assert_eq!(
        delivery.json()["data"]["messages"][0]["content"],
        "Hello there."
    );
    assert_eq!(delivery.json()["data"]["id"], "session-0123456789.abcd");
}

#[tokio::test]
async fn a_former_secret_signs_too() {
    let mut receiver = Receiver::with(Reply::status(200)).await;
    let other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let rotating = receiver.webhook().former_secret(other).build().unwrap();
    delivered(&rotating).await.unwrap();
    let delivery = receiver.next().await;
    let signatures: Vec<_> = delivery.header("webhook-signature").split(' ').collect();
    assert_eq!(signatures.len(), 2);
    assert!(signatures.iter().all(|it| it.starts_with("v1,")));
    assert_ne!(signatures[0], signatures[1]);
}

#[tokio::test]
async fn a_webhook_to_another_url_has_secrets_of_its_own_and_the_same_options() {
    let (mut first, mut second) = (
        Receiver::with(Reply::status(200)).await,
        Receiver::with(Reply::status(200)).await,
    );
    let other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let third = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let webhook = first.webhook().content(WebhookContent::Omit);
    let webhook = webhook.former_secret(other).build().unwrap();
    delivered(&webhook).await.unwrap();
    let to_second = webhook.to(second.url(), third).unwrap();
    delivered(&to_second).await.unwrap();
    let rotating = to_second.former_secret(other).unwrap();
    delivered(&rotating).await.unwrap();
    let count = |it: &str| it.split(' ').count();
    assert_eq!(count(first.next().await.header("webhook-signature")), 2);
    for signatures in [1, 2] {
        let delivery = second.next().await;
        assert_eq!(count(delivery.header("webhook-signature")), signatures);
        assert_eq!(delivery.json()["data"]["contentOmitted"], true);
    }
    assert!(first.no_further());
}

#[tokio::test]
async fn only_2xx_is_a_success() {
    for status in [200, 201, 202, 204, 299] {
        let receiver = Receiver::with(Reply::status(status)).await;
        assert!(delivered_to(&receiver).await.is_ok(), "{status}");
    }
    for code in [400, 401, 404, 410, 429, 500, 503, 599] {
        let receiver = Receiver::with(Reply::status(code)).await;
        let failure = delivered_to(&receiver).await.unwrap_err();
        assert!(
            matches!(failure, WebhookFailure::Status { status } if status == code),
            "{code}: {failure:?}"
        );
        assert!(failure.to_string().contains(&code.to_string()), "{failure}");
        assert_eq!(receiver.connections(), 1, "{code}: tried again by itself");
    }
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_nobody_calls_its_target() {
    let target = Receiver::with(Reply::status(200)).await;
    for code in [301, 302, 303, 307, 308] {
        let head = format!(
            "HTTP/1.1 {code} Elsewhere\r\nlocation: http://{}/private-say\r\ncontent-length: 0\r\n\r\n",
            target.address
        );
        let receiver = Receiver::with(Reply::Bytes(head.into())).await;
        let failure = delivered_to(&receiver).await.unwrap_err();
        assert!(
            matches!(failure, WebhookFailure::Redirect { status } if status == code),
            "{code}: {failure:?}"
        );
        assert_eq!(receiver.connections(), 1);
    }
    assert_eq!(target.connections(), 0);
    // It would have been counted.
    delivered_to(&target).await.unwrap();
    assert_eq!(target.connections(), 1);
}

/// The head comes byte by byte and never ends, or nothing comes at all.
#[tokio::test]
async fn a_receiver_that_is_too_slow_is_left_at_the_time_limit() {
    let pause = Duration::from_millis(10);
    for reply in [
        Reply::Nothing,
        Reply::Endless("HTTP/1.1 200 OK\r\nx-slow: ", b"1", pause),
        Reply::Endless(
            "HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 103 Early\r\n\r\n",
            pause,
        ),
    ] {
        let mut receiver = Receiver::with(reply.clone()).await;
        let webhook = receiver.webhook().timeout(LIMIT).build().unwrap();
        let began = Instant::now();
        let failure = delivered(&webhook).await.unwrap_err();
        assert!(began.elapsed() >= LIMIT, "{reply:?}: {:?}", began.elapsed());
        assert!(
            matches!(failure, WebhookFailure::Timeout),
            "{reply:?}: {failure:?}"
        );
        receiver.next().await;
        receiver.closed().await;
    }
}

/// The backlog of a listener that accepts nothing takes connections, but no handshake answers.
#[tokio::test]
async fn a_handshake_without_an_answer_ends_at_the_time_limit_of_connecting() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let builder = Webhook::builder(url, SECRET).allow_private_addresses();
    let webhook = builder.connect_timeout(LIMIT).build().unwrap();
    let began = Instant::now();
    let failure = delivered(&webhook).await.unwrap_err();
    assert!(matches!(failure, WebhookFailure::Timeout), "{failure:?}");
    assert!((LIMIT..GUARD).contains(&began.elapsed()));
}

#[tokio::test]
async fn a_connection_that_ends_early_is_a_failure() {
    for reply in [
        Reply::Close,
        Reply::CloseUnread,
        Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-le".into()),
        Reply::Bytes(b"SSH-2.0-private-say\r\n".into()),
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nprivate-say\r\n\r\n".into()),
    ] {
        let receiver = Receiver::with(reply.clone()).await;
        let failure = delivered_to(&receiver).await.unwrap_err();
        assert!(
            matches!(failure, WebhookFailure::NoResponse { .. }),
            "{reply:?}: {failure:?}"
        );
        assert_eq!(
            receiver.connections(),
            1,
            "{reply:?}: tried again by itself"
        );
    }
}

#[tokio::test]
async fn a_port_without_a_receiver_is_a_failure() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let builder = Webhook::builder(url, SECRET).allow_http();
    let webhook = builder.allow_private_addresses().build().unwrap();
    let failure = delivered(&webhook).await.unwrap_err();
    assert!(
        matches!(failure, WebhookFailure::Unreachable { .. }),
        "{failure:?}"
    );
}

/// What they send after the head is not read: the sender takes no more than its buffers.
#[tokio::test]
async fn the_body_of_a_response_is_not_waited_for() {
    const MEGABYTE: &[u8] = &[b'x'; 1024 * 1024];
    for (first, again, pause) in [
        ("HTTP/1.1 200 OK\r\n\r\n", &b"drip"[..], 10),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            MEGABYTE,
            0,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", &b""[..], 10),
    ] {
        let reply = Reply::Endless(first, again, Duration::from_millis(pause));
        let mut receiver = Receiver::with(reply).await;
        delivered_to(&receiver).await.unwrap();
        receiver.next().await;
        if !again.is_empty() {
            let taken = receiver.closed().await;
            assert!(taken < 32 * MEGABYTE.len(), "{first:?}: {taken} bytes");
        }
    }
}

#[tokio::test]
async fn a_long_body_arrives_whole_and_one_that_is_too_long_without_its_content() {
    let text = "long \u{1f408} \"text\" ".repeat(60_000);
    for (max_body, content, whole) in [
        (8 * 1024 * 1024, WebhookContent::Answer, true),
        (8 * 1024 * 1024, WebhookContent::Text, true),
        (1024 * 1024, WebhookContent::Answer, false),
        (8 * 1024 * 1024, WebhookContent::Omit, false),
    ] {
        let mut receiver = Receiver::with(Reply::status(200)).await;
        let builder = receiver.webhook().content(content).max_body(max_body);
        let webhook = builder.build().unwrap();
        webhook.deliver(&ended(&text)).await.unwrap();
        let delivery = receiver.next().await;
        assert!(delivery.body.len() <= max_body);
        assert_eq!(delivery.body.len() > 1024 * 1024, whole);
        let data = &delivery.json()["data"];
        assert_eq!(data["contentOmitted"], !whole);
        let sent = match content {
            WebhookContent::Text => &data["text"],
            _ => &data["messages"][0]["content"],
        };
        assert_eq!(sent.as_str(), whole.then_some(&*text));
        assert_eq!(data["usage"]["outputTokens"], 34);
    }
}
