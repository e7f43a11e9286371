use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{FutureExt, StreamExt, stream};
use serde_json::json;

use super::*;
use crate::chat::{Complete, ProviderState, ProviderStateEvent, StateOf, ToolCall, ToolInput};

fn request(so_far: &[ChatEvent]) -> ChatRequest {
    let mut request = ChatRequest::from_user("Hi");
    request.so_far = Some(Arc::new(so_far.iter().collect()));
    request.check_seam = true;
    request
}

fn text(text: &str) -> ChatEvent {
    ChatEvent::text(text)
}

fn thinking(text: &str) -> ChatEvent {
    ChatEvent::thinking(text)
}

fn state(of: StateOf) -> ChatEvent {
    let state = ProviderState::new("p", json!({"signature": "s"}));
    ProviderStateEvent::new(of, state).into()
}

/// Returns the checked events, and the message of the error at their end.
async fn checked(
    so_far: &[ChatEvent],
    new: impl IntoIterator<Item = Result<ChatEvent, ProviderError>>,
) -> (Vec<ChatEvent>, Option<String>) {
    let mut check = SeamCheck::of(&request(so_far));
    let new: Vec<_> = new.into_iter().collect();
    let mut stream = pin!(stream::iter(new));
    let mut events = Vec::new();
    while let Some(next) = poll_fn(|cx| poll_checked(&mut check, stream.as_mut(), cx)).await {
        match next {
            Ok(event) => events.push(event),
            Err(error) => return (events, Some(error.to_string())),
        }
    }
    (events, None)
}

async fn passed(so_far: &[ChatEvent], new: &[ChatEvent]) -> Vec<ChatEvent> {
    let (events, error) = checked(so_far, new.iter().cloned().map(Ok)).await;
    assert_eq!(error, None);
    events
}

const SAID: &str = "The capital of France is Par";

#[tokio::test]
async fn what_goes_on_passes_event_by_event() {
    let mut marked = crate::chat::Text::new("is");
    marked.extra.insert("mark".into(), json!(1));
    let new = [
        text(""),
        marked.into(),
        text(", of"),
        text(" course."),
        thinking("So."),
        Complete::new().into(),
    ];
    assert_eq!(passed(&[text(SAID)], &new).await, new);
    // Held for some events, and then as they were.
    let new = [text("The"), text(" ca"), text("t"), text("s.")];
    assert_eq!(passed(&[text(SAID)], &new).await, new);
}

#[tokio::test]
async fn a_repeat_is_cut_off_and_what_follows_passes() {
    let new = [
        text("France"),
        text(" is Paris"),
        text("."),
        Complete::new().into(),
    ];
    let left = [text("is"), text("."), Complete::new().into()];
    assert_eq!(passed(&[text(SAID)], &new).await, left);
    let new = [text("The capital of"), text(" France is Paris.")];
    assert_eq!(passed(&[text(SAID)], &new).await, [text("is.")]);
    let new = [text("France is"), text(" Par"), text("is.")];
    assert_eq!(passed(&[text(SAID)], &new).await, [text("is.")]);
}

#[tokio::test]
async fn an_answer_that_begins_anew_is_declined_without_an_event() {
    let anew = Some("the model began its answer anew".to_owned());
    let all = [
        thinking("Hm."),
        state(StateOf::Turn),
        text("The capital "),
        text("of Italy"),
        Complete::new().into(),
    ];
    assert_eq!(
        checked(&[text(SAID)], all.map(Ok)).await,
        (vec![], anew.clone())
    );
    // It ends, or fails, before it differs.
    let short = [Ok(text("The capital of"))];
    assert_eq!(checked(&[text(SAID)], short).await, (vec![], anew.clone()));
    let failed = [Ok(text("The capital of")), Err(ProviderError::cut())];
    assert_eq!(checked(&[text(SAID)], failed).await, (vec![], anew));
}

#[tokio::test]
async fn an_error_before_a_verdict_comes_after_the_text() {
    let failed = [Ok(text("The")), Err(ProviderError::new("no more"))];
    let (events, error) = checked(&[text(SAID)], failed).await;
    assert_eq!(
        (events, error.unwrap()),
        (vec![text("The")], "no more".into())
    );
}

#[tokio::test]
async fn calls_decide_at_once() {
    let call = ToolCall::new("c", "now", json!({}));
    let new = [
        thinking("Hm."),
        ToolInput::new("c", "{").name("now").into(),
        ChatEvent::tool_calls([call.clone()]),
        text("The capital of Italy"),
    ];
    assert_eq!(passed(&[text(SAID)], &new).await, new);
    let new = [text("France is Par"), ChatEvent::tool_calls([call.clone()])];
    let left = [ChatEvent::tool_calls([call])];
    assert_eq!(passed(&[text(SAID)], &new).await, left);
}

#[tokio::test]
async fn thinking_before_the_text_is_judged_with_it() {
    let so_far = [thinking("Paris, of course."), text(SAID)];
    let again = [
        thinking("Paris, "),
        thinking("of course."),
        text("The capital of France is Paris."),
    ];
    assert_eq!(passed(&so_far, &again).await, [text("is.")]);
    let other = [thinking("Paris."), text("The capital of France is Paris.")];
    assert_eq!(
        passed(&so_far, &other).await,
        [thinking("Paris."), text("is.")]
    );
    let on = [thinking("Paris, of course."), text("is.")];
    assert_eq!(passed(&so_far, &on).await, on);
}

#[tokio::test]
async fn a_turn_that_was_cut_in_its_thinking_begins_anew() {
    let so_far = [thinking("They ask for the cap")];
    let again = [
        thinking("They ask "),
        thinking("for the capital."),
        text("Paris."),
    ];
    assert_eq!(
        passed(&so_far, &again).await,
        [thinking("ital."), text("Paris.")]
    );
    for other in [
        [
            thinking("They ask "),
            thinking("for a city."),
            text("Paris."),
        ],
        [
            thinking("ital."),
            thinking(""),
            text("They ask for the cap"),
        ],
    ] {
        assert_eq!(passed(&so_far, &other).await, other);
    }
    let silent = [text("They ask for the cap")];
    assert_eq!(passed(&so_far, &silent).await, silent);
}

#[tokio::test]
async fn what_is_held_is_bounded() {
    let thought = thinking(&"x".repeat(1024));
    let mut new = vec![thought; 300];
    new.push(text("The capital of Italy"));
    assert_eq!(passed(&[text(SAID)], &new).await, new, "unchecked");
    // All of a long text again, of which nothing is kept.
    let long = format!("{SAID}{}", ", of course".repeat(100_000));
    let pieces: Vec<_> = long.as_bytes().chunks(100).collect();
    let pieces = pieces
        .iter()
        .map(|it| text(std::str::from_utf8(it).unwrap()));
    let new: Vec<_> = pieces.chain([text("!")]).collect();
    let mut check = SeamCheck::of(&request(&[text(&long)]));
    let most = AtomicUsize::new(0);
    let mut stream = pin!(stream::iter(new).map(Ok::<_, ProviderError>));
    let mut left = Vec::new();
    while let Some(next) = poll_fn(|cx| {
        if let Some(check) = &check {
            most.fetch_max(check.held_bytes, Ordering::Relaxed);
        }
        poll_checked(&mut check, stream.as_mut(), cx)
    })
    .await
    {
        left.push(next.unwrap());
    }
    assert_eq!(left, [text("!")]);
    assert!(most.into_inner() < 2048);
}

#[tokio::test]
async fn a_live_text_is_not_held_once_it_is_judged() {
    let mut check = SeamCheck::of(&request(&[text(SAID)]));
    let events = [text("ma"), text("The capital of Italy")];
    let mut live = pin!(
        stream::iter(events)
            .map(Ok::<_, ProviderError>)
            .chain(stream::pending())
    );
    for said in ["ma", "The capital of Italy"] {
        let next = poll_fn(|cx| poll_checked(&mut check, live.as_mut(), cx)).now_or_never();
        assert_eq!(next.unwrap().unwrap().unwrap(), text(said));
    }
    assert!(check.is_none());
}

#[test]
fn only_a_turn_that_was_cut_in_the_middle_is_checked() {
    let call = || ChatEvent::tool_calls([ToolCall::new("c", "now", json!({}))]);
    let result = || ChatEvent::tool_result("c", "now", "noon");
    for (so_far, is_checked) in [
        (vec![], false),
        (vec![text("One."), call()], false),
        (vec![text("One."), call(), text("Two.")], false),
        (vec![text("One."), call(), result()], false),
        (vec![text("One."), call(), result(), text("Two.")], true),
    ] {
        assert_eq!(SeamCheck::of(&request(&so_far)).is_some(), is_checked);
    }
    let mut off = request(&[text(SAID)]);
    off.check_seam = false;
    assert!(SeamCheck::of(&off).is_none());
}
