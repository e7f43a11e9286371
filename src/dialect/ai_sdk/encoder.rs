use bytes::{BufMut, Bytes, BytesMut};

use super::{
    chunk,
    delta_run::{DeltaRun, write_delta},
    fold::UiMessageFold,
};
use crate::{
    chat::InputId,
    dialect::{Encoder, Progress, SessionView},
    log::Chunk,
};

/// Encodes a log as a UI message stream: `data: {chunk}` and an empty line, and `[DONE]` at the end.
#[derive(Debug)]
pub(super) struct UiMessageEncoder {
    fold: UiMessageFold,
    /// The number of chunks that the client has, and that are still to be skipped.
    to_skip: u64,
    previous_parts: bool,
    /// The pending deltas while the client catches up, if it doesn't count chunks.
    run: Option<DeltaRun>,
    /// True if the client has answered questions of the message that this stream continues.
    has_answered: bool,
    /// True once a record was encoded.
    started: bool,
}

impl UiMessageEncoder {
    /// Creates an encoder that writes every chunk of this fold.
    pub(super) fn new(fold: UiMessageFold) -> Self {
        Self::after(fold, 0)
    }

    /// Adds the parts that the message had before this session.
    pub(super) fn with_previous_parts(mut self) -> Self {
        self.fold = self.fold.with_previous_parts();
        self.previous_parts = true;
        self
    }

    /// Joins deltas until the client has caught up. For clients that don't count chunks and read from
    /// the start each time.
    pub(super) fn compact(mut self) -> Self {
        self.run = Some(DeltaRun::new());
        self
    }

    /// Sets the questions that the client has answered, if any. The stream ends neither where they are
    /// asked nor before they are resolved.
    pub(super) fn answered(mut self, inputs: impl IntoIterator<Item = InputId>) -> Self {
        let mut inputs = inputs.into_iter().peekable();
        self.has_answered = inputs.peek().is_some();
        self.fold.answered(inputs);
        self
    }

    /// Creates an encoder that omits the first chunks.
    pub(super) fn after(fold: UiMessageFold, chunks: u64) -> Self {
        Self {
            fold,
            to_skip: chunks,
            previous_parts: false,
            run: None,
            has_answered: false,
            started: false,
        }
    }
}

impl UiMessageEncoder {
    fn end_run(&mut self, out: &mut BytesMut) {
        if let Some(run) = &mut self.run {
            run.end(out);
        }
    }
}

impl Encoder for UiMessageEncoder {
    fn content_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn preamble(&mut self, session: &SessionView<'_>, _: &mut BytesMut) {
        if let Some(run) = &mut self.run {
            run.set_max_bytes(session.event_bytes);
        }
        self.fold.name(session.id.as_str());
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn skip(&mut self, records: &Chunk) {
        for record in records.records() {
            self.fold.push(&record, &mut NullSink);
        }
    }

    fn encode(&mut self, records: &Chunk, out: &mut BytesMut) {
        if self.has_answered && !std::mem::replace(&mut self.started, true) {
            self.has_answered = self.fold.restart();
        }
        let mut frames = SseSink {
            out,
            to_skip: &mut self.to_skip,
            run: self.run.as_mut(),
        };
        for record in records.records() {
            self.fold.push(&record, &mut frames);
        }
    }

    fn shared_key(&self) -> Option<&'static str> {
        // A stream that omits or joins chunks has its own bytes, and one of a client that has
        // answered ends at another record.
        if self.run.is_some() || self.has_answered || self.to_skip > 0 {
            return None;
        }
        Some(
            match (
                self.previous_parts,
                self.fold.writes_responses(),
                self.fold.resets_steps(),
            ) {
                (false, false, false) => "ai-sdk",
                (true, false, false) => "ai-sdk-earlier",
                (false, true, false) => "ai-sdk-responses",
                (true, true, false) => "ai-sdk-responses-earlier",
                (false, false, true) => "ai-sdk-resets",
                (true, false, true) => "ai-sdk-resets-earlier",
                (false, true, true) => "ai-sdk-resets-responses",
                (true, true, true) => "ai-sdk-resets-responses-earlier",
            },
        )
    }

    fn heartbeat(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b": \n\n"))
    }

    // A comment, because the client counts chunks.
    fn unavailable(&mut self, out: &mut BytesMut) {
        self.end_run(out);
        out.put_slice(b": unavailable\n\n");
    }

    fn may_pause(&self) -> bool {
        self.fold.is_paused()
    }

    fn progress(&mut self, progress: &Progress, out: &mut BytesMut) {
        self.end_run(out);
        if progress.caught_up {
            self.run = None;
        }
    }

    fn trailer(&mut self, out: &mut BytesMut) {
        self.end_run(out);
        out.put_slice(b"data: [DONE]\n\n");
    }
}

/// Discards chunks: the client has them.
pub(super) struct NullSink;

impl chunk::ChunkSink for NullSink {
    fn chunk(&mut self, _: &chunk::UiChunk<'_>) {}
    fn delta(&mut self, _: chunk::DeltaKind, _: &str, _: &[u8]) {}
}

/// Writes chunks as server-sent events, without those that the client has.
struct SseSink<'a> {
    out: &'a mut BytesMut,
    to_skip: &'a mut u64,
    run: Option<&'a mut DeltaRun>,
}

impl SseSink<'_> {
    /// Returns the buffer for the next chunk, or `None` if the client has it.
    fn next(&mut self) -> Option<&mut BytesMut> {
        if *self.to_skip > 0 {
            *self.to_skip -= 1;
            return None;
        }
        Some(self.out)
    }
}

impl chunk::ChunkSink for SseSink<'_> {
    fn chunk(&mut self, chunk: &chunk::UiChunk<'_>) {
        if let Some(run) = &mut self.run {
            run.end(self.out);
        }
        if let Some(out) = self.next() {
            out.put_slice(b"data: ");
            serde_json::to_writer(out.writer(), chunk).expect("strings and JSON are JSON");
            out.put_slice(b"\n\n");
        }
    }

    fn delta(&mut self, kind: chunk::DeltaKind, id: &str, json: &[u8]) {
        if let Some(run) = &mut self.run {
            run.add(kind, id, json, self.out);
        } else if let Some(out) = self.next() {
            write_delta(kind, id, json, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        chat::{
            ChatEvent, Complete, FinishReason, InputAction, InputId, InputRequest, InputResolved,
            ToolCall, Transcript, TurnEnd,
        },
        dialect::ai_sdk::UiMessage,
        log::{ChunkBuilder, Epoch, ErrorCode, Lsn, SessionId, Status},
    };

    const ID: &str = "0123456789abcdefghjkmnpqrs";

    fn chunks(events: &[ChatEvent]) -> Vec<serde_json::Value> {
        let mut batch = ChunkBuilder::new();
        for event in events {
            batch.push(&event.to_json());
        }
        let records = batch.take(Lsn::new(1), Epoch::first()).unwrap();
        let (mut out, id) = (BytesMut::new(), ID.parse::<SessionId>().unwrap());
        let mut encoder = UiMessageEncoder::new(UiMessageFold::new());
        encoder.preamble(
            &SessionView::new(&id, Status::Streaming, Lsn::ZERO),
            &mut out,
        );
        encoder.encode(&records, &mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        text.split_terminator("\n\n")
            .map(|frame| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap())
            .collect()
    }

    fn types(events: &[ChatEvent]) -> Vec<String> {
        chunks(events)
            .iter()
            .map(|chunk| chunk["type"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn parts_are_opened_and_closed_and_have_unique_ids() {
        let chunks = chunks(&[
            ChatEvent::session_info(crate::chat::Capabilities::new()),
            ChatEvent::thinking("Hm."),
            ChatEvent::text("Hel"),
            ChatEvent::text("lo"),
            ChatEvent::thinking("More?"),
            ChatEvent::complete(),
        ]);
        assert_eq!(
            chunks,
            [
                json!({"type": "start", "messageId": ID}),
                json!({"type": "start-step"}),
                json!({"type": "reasoning-start", "id": "r1"}),
                json!({"type": "reasoning-delta", "id": "r1", "delta": "Hm."}),
                json!({"type": "reasoning-end", "id": "r1"}),
                json!({"type": "text-start", "id": "t2"}),
                json!({"type": "text-delta", "id": "t2", "delta": "Hel"}),
                json!({"type": "text-delta", "id": "t2", "delta": "lo"}),
                json!({"type": "text-end", "id": "t2"}),
                json!({"type": "reasoning-start", "id": "r3"}),
                json!({"type": "reasoning-delta", "id": "r3", "delta": "More?"}),
                json!({"type": "reasoning-end", "id": "r3"}),
                json!({"type": "finish-step"}),
                json!({"type": "finish", "finishReason": "stop"}),
            ]
        );
    }

    #[test]
    fn text_after_a_tool_result_begins_a_new_step() {
        let call = ToolCall::new("c1", "now", json!({"zone": "UTC"}));
        let chunks = chunks(&[
            ChatEvent::tool_calls([call]),
            ChatEvent::tool_result("c1", "now", r#"{"hour":12}"#),
            ChatEvent::tool_result("never-asked", "now", "12"),
            ChatEvent::text("Noon."),
            ChatEvent::complete(),
        ]);
        assert_eq!(
            chunks[2..8],
            [
                json!({"type": "tool-input-available", "toolCallId": "c1", "toolName": "now",
                    "input": {"zone": "UTC"}}),
                json!({"type": "tool-output-available", "toolCallId": "c1",
                    "output": {"hour": 12}}),
                json!({"type": "finish-step"}),
                json!({"type": "start-step"}),
                json!({"type": "text-start", "id": "t1"}),
                json!({"type": "text-delta", "id": "t1", "delta": "Noon."}),
            ]
        );
    }

    #[test]
    fn an_open_approval_ends_the_stream_once_nothing_else_runs() {
        let approval = |input: &InputId, call: &str| -> ChatEvent {
            InputRequest::approval(input.clone(), "May I?")
                .tool_call(call, "pay", json!({}))
                .into()
        };
        let call = |id: &str| ToolCall::new(id, "pay", json!({}));
        let (one, two) = (InputId::random(), InputId::random());
        let mut stream = UiMessageEncoder::new(UiMessageFold::new());
        let mut first = Lsn::new(1);
        let mut pauses = |event: ChatEvent| {
            let mut batch = ChunkBuilder::new();
            batch.push(&event.to_json());
            let chunk = batch
                .take(
                    first,
                    Epoch {
                        counter: 1,
                        bits: 7,
                    },
                )
                .unwrap();
            first = chunk.last().next();
            let mut out = BytesMut::new();
            stream.encode(&chunk, &mut out);
            let text = String::from_utf8(out.to_vec()).unwrap();
            let ends = text.ends_with("{\"type\":\"finish\",\"finishReason\":\"tool-calls\"}\n\n");
            assert_eq!(ends, stream.may_pause(), "{text}");
            ends
        };
        assert!(!pauses(ChatEvent::tool_calls([
            call("1"),
            call("2"),
            call("3")
        ])));
        assert!(
            !pauses(approval(&one, "1")),
            "the client would not send its response yet"
        );
        assert!(!pauses(approval(&two, "2")));
        assert!(pauses(ChatEvent::tool_result("3", "pay", "paid")));
        // After every record while an approval is open.
        assert!(pauses(ChatEvent::custom("mood", json!("good"))));
        assert!(pauses(ChatEvent::text("Well?")));
        assert!(
            !pauses(InputResolved::new(one, InputAction::Accept).into()),
            "it runs now"
        );
        assert!(pauses(ChatEvent::tool_result("1", "pay", "paid")));
        let three = InputId::random();
        assert!(!pauses(ChatEvent::tool_calls([call("4")])));
        assert!(pauses(approval(&three, "4")));
        assert!(
            !pauses(InputResolved::new(three, InputAction::Decline).into()),
            "a client sends no response while a refused call has no outcome"
        );
        assert!(pauses(ChatEvent::tool_error("4", "pay", "not allowed")));
        assert!(
            !pauses(InputResolved::new(two, InputAction::Decline).into()),
            "no approval is open"
        );
        assert!(!pauses(ChatEvent::tool_error("2", "pay", "not allowed")));
        assert!(!pauses(ChatEvent::text("Done.")));
    }

    #[test]
    fn an_answer_to_another_session_does_not_close_an_approval() {
        let input = InputId::random();
        let approval = InputRequest::approval(input.clone(), "May I?");
        let events = [
            ChatEvent::tool_calls([ToolCall::new("1", "pay", json!({}))]),
            approval.tool_call("1", "pay", json!({})).into(),
        ];
        let mut batch = ChunkBuilder::new();
        for event in &events {
            batch.push(&event.to_json());
        }
        let records = batch.take(Lsn::new(1), Epoch::first()).unwrap();
        let encoder = || UiMessageEncoder::new(UiMessageFold::new()).answered([input.clone()]);
        // From the start: the client has nothing of this session, so it has answered nothing of it.
        let mut new_reader = encoder();
        new_reader.encode(&records, &mut BytesMut::new());
        assert!(new_reader.may_pause());
        // After the approval that the client has answered.
        let mut resumed = encoder();
        resumed.skip(&records);
        let mut batch = ChunkBuilder::new();
        batch.push(&ChatEvent::custom("mood", json!("good")).to_json());
        let next = batch.take(Lsn::new(3), Epoch::first()).unwrap();
        resumed.encode(&next, &mut BytesMut::new());
        assert!(!resumed.may_pause());
    }

    #[test]
    fn a_call_of_a_client_tool_does_not_delay_an_approval() {
        let approval = InputRequest::approval(InputId::random(), "May I?");
        let call = |id: &str| ToolCall::new(id, "map", json!({}));
        let types = types(&[
            ChatEvent::tool_calls([call("1"), call("2")]),
            crate::chat::IsomorphicHandoff::new("1", "map", json!({})).into(),
            approval.tool_call("2", "map", json!({})).into(),
            // Later output stays in the step of the approval.
            crate::chat::ToolProgress::new("1", "map").into(),
            ChatEvent::tool_result("1", "map", "there"),
            ChatEvent::text("Hm."),
            ChatEvent::aborted(),
        ]);
        let kinds = types[4..].join(" ");
        let expected = "tool-approval-request finish-step finish \
                        start data-tool-progress finish-step finish \
                        start tool-output-available finish-step finish \
                        start text-start text-delta text-end finish-step finish \
                        start finish-step abort finish";
        assert_eq!(kinds, expected);
    }

    #[test]
    fn every_outcome_ends_with_finish() {
        let text = ChatEvent::text("Hel");
        assert_eq!(
            types(&[text.clone(), ChatEvent::aborted()])[4..],
            ["text-end", "finish-step", "abort", "finish"]
        );
        let error = ChatEvent::error(ErrorCode::Provider, "no");
        assert_eq!(
            types(&[text, error])[4..],
            ["text-end", "finish-step", "error", "finish"]
        );
        let handed = Complete::new().finish_reason(FinishReason::ToolCalls);
        assert_eq!(
            chunks(&[handed.into()])[3],
            json!({"type": "finish", "finishReason": "tool-calls"})
        );
    }

    #[test]
    fn a_text_of_another_format_than_was_asked_for_is_told_in_the_metadata() {
        let mut complete = Complete::new();
        complete.mismatch = Some("it is no JSON".to_owned());
        let turn = TurnEnd::new(FinishReason::Stop).model("m").into();
        let events = [ChatEvent::text("{"), turn, complete.into()];
        let metadata = json!({"model": "m", "unbroken": {"mismatch": "it is no JSON"}});
        assert_eq!(
            chunks(&events).last().unwrap(),
            &json!({"type": "finish", "finishReason": "stop", "messageMetadata": metadata})
        );
        let transcript: Transcript = events.iter().collect();
        let message = UiMessage::from_transcript("m1", &transcript);
        assert_eq!(message.metadata, Some(metadata));
        let mut complete = Complete::new();
        complete.unchecked = Some("it is too long".to_owned());
        assert_eq!(
            chunks(&[complete.into()]).last().unwrap()["messageMetadata"],
            json!({"unbroken": {"unchecked": "it is too long"}})
        );
    }

    #[test]
    fn text_that_was_not_streamed_is_written_at_the_end() {
        let whole = ChatEvent::from(Complete::new().text("Hello"));
        assert_eq!(
            types(std::slice::from_ref(&whole))[2..5],
            ["text-start", "text-delta", "text-end"]
        );
        assert_eq!(types(&[ChatEvent::text("Hello"), whole]).len(), 7);
    }

    #[test]
    fn a_handoff_comes_before_the_call_that_uses_it() {
        let handoff = crate::chat::IsomorphicHandoff::new("c1", "map", json!({"zoom": 3}))
            .server_output(json!([1]))
            .uses_handoff(true);
        let chunks = chunks(&[handoff.into()]);
        assert_eq!(chunks[2]["type"], "data-handoff");
        assert_eq!(chunks[2]["id"], "c1");
        assert_eq!(chunks[3]["type"], "tool-input-available");
    }
}
