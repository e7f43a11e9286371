use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;
use crate::{
    chat::{Capabilities, InputResolved, ToolProgress},
    log::ErrorCode,
};

fn event() -> impl Strategy<Value = ChatEvent> {
    prop_oneof![
        6 => "\\PC{0,6}".prop_map(ChatEvent::text),
        3 => "\\PC{0,6}".prop_map(ChatEvent::thinking),
        1 => Just(ChatEvent::session_info(Capabilities::new())),
        1 => "[a-z]".prop_map(|id| ChatEvent::tool_calls([ToolCall::new(id, "t", json!({}))])),
        1 => "[a-z]".prop_map(|id| ChatEvent::tool_result(id, "t", "done")),
        1 => "[a-z]".prop_map(|id| ChatEvent::tool_error(id, "t", "failed")),
        1 => "[a-z]".prop_map(|id| ChatEvent::isomorphic_handoff(id, "t", json!(1))),
        1 => Just(ChatEvent::conversation_state(ConversationState::new([Message::user("Hi")]))),
        1 => "[ab]".prop_map(|id| InputRequest::question(id.parse().unwrap(), "?").into()),
        1 => "[ab]".prop_map(|id| {
            InputResolved::new(id.parse().unwrap(), InputOutcome::Decline).into()
        }),
        1 => Just(ToolProgress::new("a", "t").message("soon").into()),
        1 => Just(ChatEvent::custom("mood", json!("good"))),
        1 => Just(ChatEvent::restarted("again")),
        1 => Just(Complete::new().text("whole").usage(Usage::new(1, 2)).into()),
        1 => Just(ChatEvent::aborted()),
        1 => Just(ChatEvent::error(ErrorCode::Provider, "no")),
    ]
}

// Splits an event in two.
fn halves(event: &ChatEvent) -> Vec<ChatEvent> {
    let cut = |content: &str| {
        let middle = content.chars().count() / 2;
        let at = content.char_indices().nth(middle).map_or(0, |(at, _)| at);
        let (left, right) = content.split_at(at);
        (left.to_owned(), right.to_owned())
    };
    match event {
        ChatEvent::Text(text) => {
            let (left, right) = cut(&text.content);
            vec![ChatEvent::text(left), ChatEvent::text(right)]
        }
        ChatEvent::Thinking(thinking) => {
            let (left, right) = cut(&thinking.content);
            vec![ChatEvent::thinking(left), ChatEvent::thinking(right)]
        }
        other => vec![other.clone()],
    }
}

proptest! {
    #[test]
    fn folding_is_the_same_in_any_split(events in vec(event(), 0..40), at in 0..40_usize) {
        let whole: Transcript = events.iter().collect();

        let (head, tail) = events.split_at(at.min(events.len()));
        let mut pieces: Transcript = head.iter().collect();
        pieces.extend(tail);
        prop_assert_eq!(&pieces, &whole);

        let finer: Vec<_> = events.iter().flat_map(halves).collect();
        prop_assert_eq!(&finer.iter().collect::<Transcript>(), &whole);
    }

    #[test]
    fn events_before_a_restart_leave_no_trace(
        before in vec(event(), 0..20),
        after in vec(event(), 0..20),
    ) {
        prop_assume!(!before.iter().any(ChatEvent::is_terminal));
        let mut transcript: Transcript = before.iter().collect();
        transcript.push(&ChatEvent::restarted("again"));
        transcript.extend(&after);
        prop_assert_eq!(transcript, after.iter().collect::<Transcript>());
    }
}

#[test]
fn events_fold_into_the_assistants_message() {
    let call = ToolCall::new("1", "now", json!({}));
    let transcript: Transcript = [
        ChatEvent::session_info(Capabilities::new()),
        ChatEvent::thinking("Hm. "),
        ChatEvent::thinking("Well."),
        ChatEvent::text("It is "),
        ChatEvent::tool_calls([call.clone()]),
        ChatEvent::tool_result("1", "now", "noon"),
        ChatEvent::text("noon."),
        Complete::new()
            .usage(Usage::new(5, 7))
            .finish_reason(FinishReason::Length)
            .into(),
        ChatEvent::text("too late"),
    ]
    .iter()
    .collect();
    assert_eq!(
        transcript.message(),
        Message::assistant("It is noon.").tool_calls([call])
    );
    assert_eq!(transcript.thinking(), "Hm. Well.");
    assert_eq!(transcript.tool_results()[0].content, "noon");
    assert_eq!(transcript.usage().map(|it| it.total_tokens()), Some(12));
    assert_eq!(transcript.finish_reason(), Some(&FinishReason::Length));
}

#[test]
fn a_question_is_open_until_it_is_resolved_or_the_answer_ends() {
    let id = |id: &str| id.parse::<InputId>().unwrap();
    let mut transcript: Transcript = [
        InputRequest::approval(id("a"), "May I?").into(),
        InputRequest::question(id("b"), "When?").into(),
        InputResolved::new(id("a"), InputOutcome::Timeout).into(),
        InputResolved::new(id("a"), InputOutcome::Accept).into(),
        InputResolved::new(id("never-asked"), InputOutcome::Accept).into(),
    ]
    .iter()
    .collect();
    let open: Vec<_> = transcript.open_inputs().collect();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].message, "When?");
    let first = transcript.input(&id("a")).unwrap();
    assert_eq!(first.outcome, Some(InputOutcome::Timeout));
    assert!(transcript.input(&id("c")).is_none());
    transcript.push(&ChatEvent::aborted());
    assert_eq!(transcript.open_inputs().count(), 0);
    assert_eq!(transcript.inputs().len(), 2);
}

#[test]
fn the_text_of_the_end_counts_only_if_nothing_was_streamed() {
    let end = ChatEvent::from(Complete::new().text("Hello"));
    let alone: Transcript = [&end].into_iter().collect();
    assert_eq!(alone.text(), "Hello");
    let streamed: Transcript = [&ChatEvent::text("Hello, streamed"), &end]
        .into_iter()
        .collect();
    assert_eq!(streamed.text(), "Hello, streamed");
}

#[test]
fn debug_does_not_show_content() {
    let transcript: Transcript = [ChatEvent::text("a private matter")].iter().collect();
    assert!(!format!("{transcript:?}").contains("private"));
}
