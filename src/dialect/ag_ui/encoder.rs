use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};

use super::{cursor::EventId, fold::AgUiFold};
use crate::{
    dialect::{Encoder, SessionView, frames::JsonFrames},
    log::{Chunk, Lsn},
};

pub(super) const SSE: &str = "text/event-stream";

/// Writes server-sent events: a unique `id:`, and an event of AG-UI as `data:`.
#[derive(Debug)]
pub(super) struct AgUiEncoder {
    fold: AgUiFold,
    frames: JsonFrames,
    message_first: bool,
    /// The last event that the client has.
    had: Option<EventId>,
}

impl AgUiEncoder {
    /// Creates an encoder that writes every event.
    pub(super) fn new() -> Self {
        Self {
            fold: AgUiFold::new("", "", false),
            frames: JsonFrames::default(),
            message_first: false,
            had: None,
        }
    }

    /// Sets whether a message begins before its thinking, which TanStack's client needs: it loses the
    /// text of a run that it joins otherwise.
    pub(super) fn for_tanstack(mut self, tanstack: bool) -> Self {
        self.message_first = tanstack;
        self
    }

    /// Omits the events up to the one with this id.
    pub(super) fn after(mut self, id: Option<EventId>) -> Self {
        self.had = id;
        self
    }

    /// Returns the number of the record's events that the client has.
    fn had(&mut self, lsn: Lsn) -> usize {
        match self.had {
            Some(id) if lsn < id.at.lsn => usize::MAX,
            Some(id) if lsn == id.at.lsn => id.events.unwrap_or(usize::MAX),
            _ => {
                self.had = None;
                0
            }
        }
    }

    /// Writes the events of a record that the client doesn't have. `tag` is the tag of its epoch.
    fn write(&mut self, lsn: Lsn, tag: &str, out: &mut BytesMut) {
        let (had, all) = (self.had(lsn), self.frames.iter().len());
        let resumed = self.had.is_some_and(|id| id.at.lsn == lsn);
        for (json, number) in self.frames.iter().zip(1..).skip(had) {
            // The format of `EventId`.
            let written = if number == all {
                writeln!(out, "id: {lsn}.{tag}")
            } else {
                writeln!(out, "id: {lsn}.{tag}.{number}")
            };
            written.expect("a BytesMut takes every byte");
            data(json, out);
        }
        if resumed && had >= all && self.fold.ended() {
            // The client lost its connection between the terminal event and the end of the body, and
            // doesn't treat the run as ended. It drops events with known ids, so this one has none.
            if let Some(json) = self.frames.iter().last() {
                data(json, out);
            }
        }
    }
}

fn data(json: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(json);
    out.extend_from_slice(b"\n\n");
}

impl Encoder for AgUiEncoder {
    fn content_type(&self) -> &'static str {
        SSE
    }

    fn preamble(&mut self, session: &SessionView<'_>, _: &mut BytesMut) {
        let run = session.id.as_str();
        let thread = session.chat.map_or(run, |chat| chat.as_str());
        self.fold = AgUiFold::new(run, thread, self.message_first);
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn skip(&mut self, records: &Chunk) {
        for record in records.records() {
            self.frames.clear();
            self.fold.push(record.bytes, &mut self.frames);
        }
    }

    fn encode(&mut self, records: &Chunk, out: &mut BytesMut) {
        let tag = records.epoch().tag().to_string();
        for record in records.records() {
            self.frames.clear();
            self.fold.push(record.bytes, &mut self.frames);
            self.write(record.lsn, &tag, out);
        }
    }

    fn shared_key(&self) -> Option<&'static str> {
        let key = if self.message_first {
            "ag-ui-message-first"
        } else {
            "ag-ui"
        };
        self.had.is_none().then_some(key)
    }

    fn heartbeat(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b": \n\n"))
    }

    fn unavailable(&mut self, out: &mut BytesMut) {
        // A client takes no other event before `RUN_STARTED`.
        if self.fold.has_begun() {
            data(br#"{"type":"CUSTOM","name":"unavailable","value":{}}"#, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        chat::{Capabilities, ChatEvent, Complete, ErrorEvent, FinishReason, ToolCall, Usage},
        log::{ChunkBuilder, Epoch, ErrorCode, SessionId, Status},
    };

    const RUN: &str = "run-1764133345123-k3j5x9";

    fn chunk(events: &[ChatEvent]) -> Chunk {
        let mut batch = ChunkBuilder::new();
        for event in events {
            batch.push(&event.to_json());
        }
        batch.take(Lsn::new(1), Epoch::first()).unwrap()
    }

    fn begun(mut encoder: AgUiEncoder) -> AgUiEncoder {
        let id: SessionId = RUN.parse().unwrap();
        let chat = crate::log::ChatId::new("thread-1");
        let view = SessionView::new(&id, Status::Streaming, Lsn::ZERO).chat(Some(&chat));
        let mut preamble = BytesMut::new();
        encoder.preamble(&view, &mut preamble);
        assert!(preamble.is_empty());
        encoder
    }

    /// Returns the events with their ids.
    fn frames(out: &[u8]) -> Vec<(Option<String>, Value)> {
        let text = std::str::from_utf8(out).unwrap();
        text.split_terminator("\n\n")
            .map(|frame| {
                let (id, data) = match frame.split_once('\n') {
                    Some((id, data)) => (Some(id.strip_prefix("id: ").unwrap().to_owned()), data),
                    None => (None, frame),
                };
                let data = data.strip_prefix("data: ").unwrap();
                (id, serde_json::from_str(data).unwrap())
            })
            .collect()
    }

    fn events(events: &[ChatEvent]) -> Vec<Value> {
        let mut out = BytesMut::new();
        begun(AgUiEncoder::new()).encode(&chunk(events), &mut out);
        frames(&out).into_iter().map(|(_, event)| event).collect()
    }

    fn first() -> ChatEvent {
        ChatEvent::session_info(Capabilities::new())
    }

    #[test]
    fn an_answer_is_one_run_with_messages() {
        let complete = Complete::new().usage(Usage::new(3, 4));
        let log = [
            first(),
            ChatEvent::thinking("Hm"),
            ChatEvent::thinking(" …"),
            ChatEvent::text("Hel\"lo"),
            ChatEvent::text(""),
            ChatEvent::text("!"),
            complete.into(),
        ];
        let (one, two) = (format!("{RUN}-1"), format!("{RUN}-2"));
        let run = json!({"threadId": "thread-1", "runId": RUN});
        let expected = [
            json!({"type": "RUN_STARTED", "threadId": run["threadId"], "runId": RUN}),
            json!({"type": "REASONING_START", "messageId": one}),
            json!({"type": "REASONING_MESSAGE_START", "messageId": one, "role": "reasoning"}),
            json!({"type": "REASONING_MESSAGE_CONTENT", "messageId": one, "delta": "Hm"}),
            json!({"type": "REASONING_MESSAGE_CONTENT", "messageId": one, "delta": " …"}),
            json!({"type": "REASONING_MESSAGE_END", "messageId": one}),
            json!({"type": "REASONING_END", "messageId": one}),
            json!({"type": "TEXT_MESSAGE_START", "messageId": two, "role": "assistant"}),
            json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": two, "delta": "Hel\"lo"}),
            json!({"type": "TEXT_MESSAGE_CONTENT", "messageId": two, "delta": "!"}),
            json!({"type": "TEXT_MESSAGE_END", "messageId": two}),
            json!({
                "type": "RUN_FINISHED", "threadId": "thread-1", "runId": RUN,
                "usage": [{"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}],
                "metadata": {"tanstack": {"finishReason": "stop"}},
            }),
        ];
        assert_eq!(events(&log), expected);
    }

    #[test]
    fn server_tools_have_results_and_client_tools_are_handed_over() {
        let log = [
            first(),
            ChatEvent::text("Let me see."),
            ChatEvent::tool_calls([
                ToolCall::new("a", "now", json!({"zone": "UTC"})),
                ToolCall::new("b", "map", json!({})),
            ]),
            ChatEvent::tool_error("a", "now", "no clock"),
            ChatEvent::isomorphic_handoff("b", "map", json!({})),
            Complete::new()
                .finish_reason(FinishReason::ToolCalls)
                .into(),
        ];
        let events = events(&log);
        let message = format!("{RUN}-1");
        let of = |kind: &str| {
            let of = |event: &&Value| event["type"] == kind;
            events.iter().filter(of).collect::<Vec<_>>()
        };
        assert_eq!(of("TOOL_CALL_START").len(), 2);
        for call in of("TOOL_CALL_START") {
            assert_eq!(call["parentMessageId"], message);
        }
        assert_eq!(of("TOOL_CALL_ARGS")[0]["delta"], r#"{"zone":"UTC"}"#);
        let result = of("TOOL_CALL_RESULT")[0];
        assert_eq!(
            (&result["toolCallId"], &result["content"]),
            (&json!("a"), &json!("no clock"))
        );
        assert_eq!(result["metadata"]["tanstack"]["state"], "output-error");
        assert_eq!(
            of("CUSTOM")[0],
            &json!({
                "type": "CUSTOM", "name": "tool-input-available",
                "value": {"toolCallId": "b", "toolName": "map", "input": {}},
            })
        );
        let end = of("RUN_FINISHED")[0];
        assert_eq!(
            end["outcome"],
            json!({"type": "success", "pendingToolCallIds": ["b"]})
        );
        assert_eq!(end["metadata"]["tanstack"]["finishReason"], "tool_calls");
    }

    #[test]
    fn each_ending_has_its_own_event() {
        let end = |event: ChatEvent| {
            events(&[first(), ChatEvent::text("a"), event])
                .pop()
                .unwrap()
        };
        let stopped = end(crate::chat::Aborted::new().reason("enough").into());
        assert_eq!(stopped["type"], "RUN_FINISHED");
        assert_eq!(stopped["outcome"], json!({"type": "cancelled"}));
        assert_eq!(stopped["metadata"]["unbroken"]["reason"], "enough");
        let mut complete = Complete::new();
        complete.mismatch = Some("it is no JSON".to_owned());
        assert_eq!(
            end(complete.into())["metadata"],
            json!({
                "tanstack": {"finishReason": "stop"},
                "unbroken": {"mismatch": "it is no JSON"},
            })
        );
        let mut complete = Complete::new();
        complete.unchecked = Some("it is too long".to_owned());
        assert_eq!(
            end(complete.into())["metadata"]["unbroken"],
            json!({"unchecked": "it is too long"})
        );
        let failed = ErrorEvent::new(ErrorCode::Provider, "no").recoverable(true);
        assert_eq!(
            end(failed.into()),
            json!({
                "type": "RUN_ERROR", "message": "no", "code": "provider",
                "metadata": {
                    "tanstack": {"runId": RUN, "threadId": "thread-1"},
                    "unbroken": {"recoverable": true},
                },
            })
        );
    }

    #[test]
    fn text_that_was_not_streamed_is_a_message() {
        let whole: ChatEvent = Complete::new().text("All of it.").into();
        let kinds = |events: Vec<Value>| {
            let kind = |event: &Value| event["type"].as_str().unwrap().to_owned();
            events.iter().map(kind).collect::<Vec<_>>()
        };
        assert_eq!(
            kinds(events(&[first(), whole.clone()])),
            [
                "RUN_STARTED",
                "TEXT_MESSAGE_START",
                "TEXT_MESSAGE_CONTENT",
                "TEXT_MESSAGE_END",
                "RUN_FINISHED"
            ]
        );
        let streamed = kinds(events(&[first(), ChatEvent::text("All of it."), whole]));
        assert_eq!(streamed.len(), 5);
    }

    #[test]
    fn no_notice_comes_before_the_begin_of_the_run() {
        let (mut encoder, mut out) = (begun(AgUiEncoder::new()), BytesMut::new());
        encoder.unavailable(&mut out);
        assert!(out.is_empty());
        encoder.encode(&chunk(&[first()]), &mut out);
        encoder.unavailable(&mut out);
        let kinds: Vec<_> = frames(&out)
            .into_iter()
            .map(|(_, it)| it["type"].clone())
            .collect();
        assert_eq!(kinds, ["RUN_STARTED", "CUSTOM"]);
    }

    #[test]
    fn a_resume_after_any_event_repeats_none() {
        let chunk = chunk(&[
            first(),
            ChatEvent::thinking("Hm"),
            ChatEvent::text("Hello"),
            ChatEvent::tool_calls([ToolCall::new("a", "now", json!({}))]),
            ChatEvent::complete(),
        ]);
        let mut out = BytesMut::new();
        begun(AgUiEncoder::new()).encode(&chunk, &mut out);
        let all = frames(&out);
        let ids: std::collections::HashSet<_> = all.iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), all.len());
        for (at, (id, _)) in all.iter().enumerate() {
            let id: EventId = id.as_deref().unwrap().parse().unwrap();
            let mut encoder = begun(AgUiEncoder::new().after(Some(id)));
            let mut out = BytesMut::new();
            if let Some(known) = chunk.up_to(id.at.lsn.before()) {
                encoder.skip(&known);
            }
            encoder.encode(&chunk.after(id.at.lsn.before()).unwrap(), &mut out);
            let rest = frames(&out);
            if at + 1 < all.len() {
                assert_eq!(rest, all[at + 1..], "after {id:?}");
            } else {
                // The client sees the end again, without an id, which it would drop.
                assert_eq!(rest, [(None, all[at].1.clone())]);
            }
        }
    }
}
