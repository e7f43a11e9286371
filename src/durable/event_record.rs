//! The record of an event. A record that its readers would refuse is never written.

use std::{collections::VecDeque, mem};

use bytes::BytesMut;

use crate::{
    chat::{
        ChatEvent, ErrorEvent, JsonDepth, RESERVED, Text, Thinking, ToolCall, ToolInput,
        has_reserved_name,
    },
    log::ErrorCode,
    session::Limits,
};

/// The maximum sizes of records, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordSizes {
    /// Of a record whose event can be split, or is small.
    pub(super) event: usize,
    /// Of a record with arguments, a result, a medium or provider state, which can't be split.
    pub(super) value: usize,
}

impl RecordSizes {
    pub(super) fn of(limits: &Limits) -> Self {
        let session = usize::try_from(limits.session_bytes).unwrap_or(usize::MAX);
        Self {
            event: limits.event_bytes,
            value: session,
        }
    }

    fn most(self, event: &ChatEvent) -> usize {
        let is_value = matches!(
            event,
            ChatEvent::ConversationState(_) | ChatEvent::Media(_) | ChatEvent::ProviderState(_)
        );
        if event.is_barrier() || is_value {
            self.event.max(self.value)
        } else {
            self.event
        }
    }
}

/// Splits text, thinking and streamed arguments whose record would be larger than `most` bytes. The pieces
/// after the first go to `rest`.
pub(super) fn split(
    mut event: ChatEvent,
    most: usize,
    rest: &mut VecDeque<ChatEvent>,
) -> ChatEvent {
    type Piece = Box<dyn Fn(String) -> ChatEvent>;
    let (mut content, piece): (String, Piece) = match &mut event {
        ChatEvent::Text(text) if text.extra.is_empty() && may_pass(&text.content, most) => {
            let content = mem::take(&mut text.content);
            (content, Box::new(|it| Text::new(it).into()))
        }
        ChatEvent::Thinking(thinking)
            if thinking.extra.is_empty() && may_pass(&thinking.content, most) =>
        {
            let content = mem::take(&mut thinking.content);
            (content, Box::new(|it| Thinking::new(it).into()))
        }
        ChatEvent::ToolInput(input) if input.extra.is_empty() && may_pass(&input.delta, most) => {
            let (content, id) = (mem::take(&mut input.delta), input.id.clone());
            (content, Box::new(move |it| ToolInput::new(&id, it).into()))
        }
        _ => return event,
    };
    // Only the first piece of arguments has a name.
    let room = most.saturating_sub(event.to_json().len());
    let mut ends = Vec::new();
    let mut size = 0;
    for (at, character) in content.char_indices() {
        let more = escaped_len(character);
        // A piece has at least one character.
        if size > 0 && size + more > room {
            ends.push(at);
            size = 0;
        }
        size += more;
    }
    for at in ends.into_iter().rev() {
        rest.push_front(piece(content.split_off(at)));
    }
    match &mut event {
        ChatEvent::Text(text) => text.content = content,
        ChatEvent::Thinking(thinking) => thinking.content = content,
        ChatEvent::ToolInput(input) => input.delta = content,
        _ => unreachable!("no other event is split"),
    }
    event
}

// Each byte becomes six at most.
fn may_pass(content: &str, most: usize) -> bool {
    content.len() > most.saturating_sub(64) / 6
}

/// Returns the number of bytes of a character in a JSON string.
pub(super) fn escaped_len(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

/// Writes an event, and returns it as it was written.
///
/// * Arguments of calls that are nested deeper than a call's may be are written as text.
/// * Any other event nested deeper than [`ChatEvent::MAX_DEPTH`] is replaced by a terminal error.
/// * Of an event with more bytes than an event may have, the fields that clients have already are left
///   out.
/// * An event that is still larger than its record may be is replaced by a terminal error.
pub(super) fn write(mut event: ChatEvent, sizes: RecordSizes, out: &mut BytesMut) -> ChatEvent {
    let before = out.len();
    match &mut event {
        ChatEvent::Text(text) if text.extra.is_empty() => {
            event.write_json(out);
            return event; // it was split before
        }
        ChatEvent::Thinking(thinking) if thinking.extra.is_empty() => {
            event.write_json(out);
            return event;
        }
        ChatEvent::ToolCalls(asked) => asked.calls.iter_mut().for_each(ToolCall::limit_depth),
        _ => {}
    }
    event.write_json(out);
    let is_deep = JsonDepth::of(&out[before..]) > ChatEvent::MAX_DEPTH;
    if is_deep || has_reserved_name(&out[before..]) {
        tracing::warn!(
            kind = event.kind(),
            is_deep,
            "an event is nested too deep to be read, or has a reserved name"
        );
        event = if is_deep { too_deep() } else { reserved() };
        out.truncate(before);
        event.write_json(out);
    }
    if out.len() - before > sizes.event && shorten(&mut event) {
        out.truncate(before);
        event.write_json(out);
    }
    let most = sizes.most(&event);
    if out.len() - before > most && !event.is_terminal() {
        tracing::warn!(
            kind = event.kind(),
            bytes = out.len() - before,
            most,
            "an event is larger than its record may be"
        );
        event = too_large(most);
        out.truncate(before);
        event.write_json(out);
    }
    event
}

fn too_large(most: usize) -> ChatEvent {
    let message =
        format!("A part of the answer was larger than this server takes, which is {most} bytes.");
    ErrorEvent::new(ErrorCode::Limit, message).into()
}

fn too_deep() -> ChatEvent {
    let message = format!(
        "A part of the answer was nested deeper than this server takes, which is {} levels.",
        ChatEvent::MAX_DEPTH
    );
    ErrorEvent::new(ErrorCode::Limit, message).into()
}

fn reserved() -> ChatEvent {
    let message = format!("A part of the answer has a field whose name begins with `{RESERVED}`.");
    ErrorEvent::new(ErrorCode::Internal, message).into()
}

/// Drops what clients have already. Returns true if there was any.
fn shorten(event: &mut ChatEvent) -> bool {
    match event {
        ChatEvent::Complete(complete) => complete.text.take().is_some(),
        ChatEvent::ConversationState(event) => {
            let messages = std::mem::take(&mut event.conversation_state.messages);
            !messages.is_empty()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::chat::{
        Aborted, Capabilities, Complete, Custom, InputAction, InputRequest, InputResolved,
        IsomorphicHandoff, Message, Restarted, SessionInfo, Text, Thinking, ToolCalls, ToolError,
        ToolProgress, ToolResult, Unknown,
    };

    fn lists(depth: usize) -> Value {
        (0..depth).fold(Value::Null, |inner, _| json!([inner]))
    }

    /// Every event type with a value in a field, at the given number of levels below the record.
    fn events(value: &Value) -> Vec<(usize, ChatEvent)> {
        let extra = Map::from_iter([("later".to_owned(), value.clone())]);
        let id = || "q.1".parse().unwrap();
        macro_rules! with_extra {
            ($($event:expr),+ $(,)?) => { vec![$({
                let mut event = $event;
                event.extra = extra.clone();
                (1, ChatEvent::from(event))
            }),+] };
        }
        let mut events = with_extra![
            SessionInfo::new(Capabilities::new()),
            Text::new("Hi"),
            Thinking::new("Hm"),
            ToolCalls::new([]),
            ToolResult::new("1", "t", "done"),
            ToolError::new("1", "t", "no"),
            ToolProgress::new("1", "t"),
            InputRequest::question(id(), "Why?"),
            InputResolved::new(id(), InputAction::Accept),
            IsomorphicHandoff::new("1", "t", Value::Null),
            Restarted::new("again"),
            Custom::new("mood", Value::Null),
            Complete::new(),
            Aborted::new(),
            ErrorEvent::new(ErrorCode::Provider, "no"),
        ];
        let call = ToolCall::new("1", "t", value.clone());
        let mut state =
            crate::chat::ConversationState::new(
                [Message::assistant("").tool_calls([call.clone()])],
            );
        state.tool_calls = vec![call];
        let empty_state = crate::chat::ConversationStateEvent {
            extra: extra.clone(),
            ..Default::default()
        };
        let unknown = Unknown {
            kind: "later".into(),
            extra,
        };
        events.extend([
            (1, ChatEvent::from(empty_state)),
            (
                1,
                SessionInfo::new(Capabilities::new())
                    .persona(value.clone())
                    .into(),
            ),
            (1, ChatEvent::custom("mood", value.clone())),
            (1, IsomorphicHandoff::new("1", "t", value.clone()).into()),
            (
                1,
                IsomorphicHandoff::new("1", "t", Value::Null)
                    .server_output(value.clone())
                    .into(),
            ),
            (
                1,
                InputRequest::question(id(), "Why?")
                    .schema(value.clone())
                    .into(),
            ),
            (
                1,
                InputRequest::approval(id(), "May I?")
                    .tool_call("1", "t", value.clone())
                    .into(),
            ),
            (6, ChatEvent::conversation_state(state)),
            (1, ChatEvent::Unknown(unknown)),
        ]);
        events
    }

    fn record(event: ChatEvent) -> (ChatEvent, BytesMut) {
        let mut out = BytesMut::from(&b"before"[..]);
        let written = write(event, sizes(usize::MAX, usize::MAX), &mut out);
        (written, out.split_off(6))
    }

    fn sizes(event: usize, value: usize) -> RecordSizes {
        RecordSizes { event, value }
    }

    fn said(event: &ChatEvent) -> &str {
        match event {
            ChatEvent::Text(text) => &text.content,
            ChatEvent::Thinking(thinking) => &thinking.content,
            ChatEvent::ToolInput(input) => &input.delta,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_event_with_a_reserved_name_is_replaced_by_an_error_that_can_be_read() {
        let mut value = Map::new();
        value.insert("a".into(), 1.into());
        value.insert(format!("{RESERVED}RawValue"), "x".into());
        for (_, event) in events(&value.into()) {
            let kind = event.kind().to_owned();
            let mut record = BytesMut::new();
            write(event, sizes(usize::MAX, usize::MAX), &mut record);
            let read: ChatEvent = serde_json::from_slice(&record).expect(&kind);
            let ChatEvent::Error(error) = read else {
                panic!("{kind}: {read:?}")
            };
            assert_eq!(error.code, ErrorCode::Internal, "{kind}");
        }
    }

    const DEPTHS: [usize; 15] = [
        1, 63, 64, 65, 90, 95, 96, 97, 100, 124, 125, 126, 127, 128, 130,
    ];

    #[test]
    fn every_record_can_be_read_and_one_that_could_not_is_an_error_of_the_limit() {
        for depth in DEPTHS {
            for (above, event) in events(&lists(depth)) {
                let kind = event.kind().to_owned();
                let (written, record) = record(event.clone());
                let read: ChatEvent = serde_json::from_slice(&record).expect(&kind);
                assert_eq!(read, written, "{kind} with {depth}");
                if depth + above <= ChatEvent::MAX_DEPTH {
                    assert_eq!(written, event, "{kind} with {depth}");
                } else {
                    let limit = |event: &ErrorEvent| event.code == ErrorCode::Limit;
                    assert!(
                        matches!(&written, ChatEvent::Error(error) if limit(error)),
                        "{kind} with {depth}: {written:?}"
                    );
                    assert!(JsonDepth::of(&record) <= ChatEvent::MAX_DEPTH);
                }
            }
        }
    }

    #[test]
    fn arguments_of_a_call_that_are_too_deep_are_written_as_text() {
        for depth in DEPTHS {
            let arguments = lists(depth);
            let call = ToolCall::new("1", "t", arguments.clone());
            let (written, record) = record(ChatEvent::tool_calls([call]));
            let read: ChatEvent = serde_json::from_slice(&record).unwrap();
            assert_eq!(read, written, "{depth}");
            let ChatEvent::ToolCalls(asked) = read else {
                panic!("{read:?}")
            };
            let expected = match depth {
                0..=64 => arguments,
                _ => arguments.to_string().into(),
            };
            assert_eq!(asked.calls[0].arguments, expected, "{depth}");
        }
    }

    #[test]
    fn a_record_that_is_too_large_loses_what_clients_have() {
        let complete = Complete::new().text("a long text");
        let mut out = BytesMut::new();
        write(complete.into(), sizes(50, 50), &mut out);
        assert_eq!(out, r#"{"type":"complete","finishReason":"stop"}"#);
    }

    proptest::proptest! {
        #[test]
        fn pieces_of_text_are_as_large_as_they_may_be_and_the_same_text(
            content in "(\\PC|[\"\\\\\n\u{7}é😀]){0,40}",
            room in 6..60_usize,
        ) {
            let input = ToolInput::new("call", &content);
            for (event, empty) in [
                (ChatEvent::text(&content), ChatEvent::text("")),
                (ChatEvent::thinking(&content), ChatEvent::thinking("")),
                (input.into(), ToolInput::new("call", "").into()),
            ] {
                let most = empty.to_json().len() + room;
                let mut rest = VecDeque::new();
                let first = split(event.clone(), most, &mut rest);
                let pieces: Vec<_> = std::iter::once(first).chain(rest).collect();
                let whole: String = pieces.iter().map(said).collect();
                proptest::prop_assert_eq!(whole, said(&event));
                for (at, piece) in pieces.iter().enumerate() {
                    let bytes = piece.to_json().len();
                    proptest::prop_assert!(bytes <= most);
                    proptest::prop_assert_eq!(piece.kind(), event.kind());
                    // The next character, of six bytes at most, had no room.
                    proptest::prop_assert!(at + 1 == pieces.len() || bytes + 6 > most);
                }
            }
        }
    }

    #[test]
    fn arguments_and_results_may_be_as_large_as_a_session() {
        let call = |bytes| ToolCall::new("1", "t", json!({"a": "x".repeat(bytes)}));
        for (event, most) in [
            (ChatEvent::tool_calls([call(500)]), 1000),
            (ChatEvent::tool_result("1", "t", "x".repeat(500)), 1000),
            (ChatEvent::custom("mood", json!("x".repeat(50))), 100),
            (
                ChatEvent::isomorphic_handoff("1", "t", call(500).arguments),
                1000,
            ),
        ] {
            let kind = event.kind().to_owned();
            let mut out = BytesMut::new();
            assert_eq!(write(event, sizes(100, 1000), &mut out).kind(), kind);
            assert!(out.len() <= most);
        }
        for (event, limit) in [
            (ChatEvent::tool_calls([call(1000)]), "1000 bytes"),
            (
                ChatEvent::custom("mood", json!("x".repeat(500))),
                "100 bytes",
            ),
        ] {
            let mut out = BytesMut::new();
            let written = write(event, sizes(100, 1000), &mut out);
            let ChatEvent::Error(error) = written else {
                panic!("{written:?}")
            };
            assert_eq!(error.code, ErrorCode::Limit);
            assert!(error.message.contains(limit), "{}", error.message);
        }
    }
}
