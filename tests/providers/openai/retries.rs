//! Failures before the first event are retried; later ones are not.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use unbroken::{chat::ChatEvent, log::ErrorCode};

use super::{GUARD, Step, ask, assert_safe, builder, data, done, finish, ok, refusal, text};
use crate::stub::{Stub, serve_in_turn};

fn fine() -> Vec<Step> {
    vec![ok(), text("Hi"), finish("stop"), done(), Step::End]
}

fn overloaded() -> Vec<Step> {
    vec![refusal("503 Service Unavailable", "", "")]
}

async fn ask_with(
    retries: u32,
    stub: &Stub,
) -> (Vec<ChatEvent>, Option<unbroken::chat::ProviderError>) {
    let provider = builder(stub).retries(retries).build().unwrap();
    timeout(GUARD * 10, ask(provider)).await.unwrap()
}

fn requests(stub: &mut Stub) -> usize {
    std::iter::from_fn(|| stub.requests.try_recv().ok()).count()
}

// The clock is paused in these: it jumps as soon as all tasks wait.

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_event_is_retried() {
    for failing in [
        overloaded(),
        vec![refusal("429 Too Many Requests", "", "")],
        vec![refusal("500 Internal Server Error", "", "")],
        vec![Step::Cut],
        vec![Step::Raw(b"HTTP/1.1 200".to_vec()), Step::Cut],
        vec![ok(), Step::End],
        vec![
            ok(),
            data(r#"{"choices":[{"delta":{"role":"assistant"}}]}"#),
            Step::Cut,
        ],
        vec![ok(), data(r#"{"error":{"code":503}}"#), Step::End],
    ] {
        let mut stub = serve_in_turn(vec![failing.clone(), failing, fine()]).await;
        let began = Instant::now();
        let (events, error) = ask_with(2, &stub).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(events, [ChatEvent::text("Hi"), ChatEvent::complete()]);
        assert_eq!(requests(&mut stub), 3);
        let waited = began.elapsed();
        let (least, most) = (Duration::from_millis(750), Duration::from_millis(1700));
        assert!(least <= waited && waited < most, "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tries_are_limited_and_the_last_failure_counts() {
    for (retries, asked) in [(0, 1), (1, 2), (2, 3)] {
        let mut stub = serve_in_turn(vec![overloaded()]).await;
        let error = ask_with(retries, &stub).await.1.unwrap();
        assert_safe(&error);
        assert!(error.to_string().contains("has failed"), "{error}");
        assert_eq!(requests(&mut stub), asked);
    }
}

#[tokio::test(start_paused = true)]
async fn the_servers_own_wait_is_kept_unless_it_is_too_long() {
    let after = |wait: &str| vec![refusal("429 Too Many Requests", &format!("{wait}\r\n"), "")];
    for (wait, least) in [
        ("retry-after: 7", Duration::from_secs(7)),
        ("retry-after-ms: 1500", Duration::from_millis(1500)),
    ] {
        let mut stub = serve_in_turn(vec![after(wait), fine()]).await;
        let began = Instant::now();
        assert!(ask_with(2, &stub).await.1.is_none());
        let waited = began.elapsed();
        assert!(
            least <= waited && waited < least + Duration::from_secs(1),
            "{waited:?}"
        );
        assert_eq!(requests(&mut stub), 2);
    }
    let mut stub = serve_in_turn(vec![after("retry-after: 31"), fine()]).await;
    let error = ask_with(2, &stub).await.1.unwrap();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(31)));
    assert_eq!(requests(&mut stub), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_begun_is_never_retried() {
    for failing in [
        vec![ok(), text("Hal"), Step::Cut],
        vec![
            ok(),
            text("Hal"),
            data(r#"{"error":{"code":503}}"#),
            Step::End,
        ],
    ] {
        let mut stub = serve_in_turn(vec![failing, fine()]).await;
        let (events, error) = ask_with(2, &stub).await;
        assert_eq!(events, [ChatEvent::text("Hal")]);
        assert!(error.is_some());
        assert_eq!(requests(&mut stub), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_not_recoverable_is_not_retried() {
    for failing in [
        vec![refusal("400 Bad Request", "", "")],
        vec![refusal("401 Unauthorized", "", "")],
        vec![refusal("404 Not Found", "", "")],
        vec![refusal(
            "429 Too Many Requests",
            "",
            r#"{"error":{"code":"insufficient_quota"}}"#,
        )],
    ] {
        let mut stub = serve_in_turn(vec![failing, fine()]).await;
        let error = ask_with(2, &stub).await.1.unwrap();
        assert!(!error.is_recoverable());
        assert_eq!(requests(&mut stub), 1);
    }
}

// The official SDKs retry no error inside a stream, of any class.
#[tokio::test(start_paused = true)]
async fn an_error_inside_a_stream_is_retried_unless_it_is_about_the_request() {
    for (error, retried) in [
        (r#"{"error":{"code":500}}"#, true),
        (r#"{"error":{"code":"503","message":"M"}}"#, true),
        (r#"{"error":{"type":"overloaded_error"}}"#, true),
        (r#"{"error":{"code":400}}"#, false),
        (r#"{"error":{"code":401}}"#, false),
        (r#"{"error":{"code":404}}"#, false),
        (r#"{"error":{"code":408}}"#, false),
        (r#"{"error":{"code":"429"}}"#, false),
        (r#"{"error":{"code":"rate_limit_exceeded"}}"#, false),
        (r#"{"error":{"type":"insufficient_quota"}}"#, false),
        (r#"{"error":{"code":"content_filter"}}"#, false),
    ] {
        let failing = vec![ok(), data(error), Step::End];
        let mut stub = serve_in_turn(vec![failing, fine()]).await;
        let (events, failed) = ask_with(2, &stub).await;
        assert_eq!(failed.is_none(), retried, "{error}: {failed:?}");
        assert_eq!(events.len(), if retried { 2 } else { 0 });
        assert_eq!(requests(&mut stub), if retried { 2 } else { 1 }, "{error}");
    }
}

// As the official SDKs do.
#[tokio::test(start_paused = true)]
async fn a_server_that_says_if_a_retry_helps_is_obeyed() {
    for (status, says, retried) in [
        ("503 Service Unavailable", "false", false),
        ("429 Too Many Requests", "false", false),
        ("409 Conflict", "true", true),
        ("408 Request Timeout", "true", true),
        ("409 Conflict", "perhaps", false),
        ("500 Internal Server Error", "perhaps", true),
    ] {
        let header = format!("x-should-retry: {says}\r\n");
        let mut stub = serve_in_turn(vec![vec![refusal(status, &header, "")], fine()]).await;
        let failed = ask_with(2, &stub).await.1;
        assert_eq!(failed.is_none(), retried, "{status}, {says}: {failed:?}");
        assert_eq!(requests(&mut stub), if retried { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_that_says_timeout_is_not_retried() {
    for status in ["408 Request Timeout", "504 Gateway Timeout"] {
        let mut stub = serve_in_turn(vec![vec![refusal(status, "", "")], fine()]).await;
        let error = ask_with(2, &stub).await.1.unwrap();
        assert_eq!(error.code(), ErrorCode::Timeout);
        assert_eq!(requests(&mut stub), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_not_retried() {
    let mut stub = serve_in_turn(vec![vec![ok(), Step::Silence], fine()]).await;
    let provider = builder(&stub)
        .retries(2)
        .idle_timeout(GUARD / 4)
        .build()
        .unwrap();
    let error = timeout(GUARD, ask(provider)).await.unwrap().1.unwrap();
    assert_eq!(error.code(), ErrorCode::Timeout);
    assert_eq!(requests(&mut stub), 1);
}
