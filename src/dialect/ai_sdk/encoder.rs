use bytes::{BufMut, Bytes, BytesMut};

use super::{
    chunk,
    delta_run::DeltaRun,
    fold::{ChunkSink, UiMessageFold},
};
use crate::{
    chat::InputId,
    dialect::{Encoder, Progress, SessionView},
    log::Chunk,
};

/// Writes a log as a UI message stream: `data: {chunk}` and an empty line, and `[DONE]` at the end.
#[derive(Debug)]
pub(super) struct UiMessageEncoder {
    fold: UiMessageFold,
    /// How many chunks the client has.
    has: u64,
    earlier: bool,
    /// While the client catches up, if it doesn't count chunks.
    run: Option<DeltaRun>,
    /// The client has answered questions of the message, which goes on in this stream.
    answers: bool,
    /// And it has begun.
    began: bool,
}

impl UiMessageEncoder {
    /// From the first chunk on.
    pub(super) fn new() -> Self {
        Self::after(0)
    }

    /// The same, for a client that has nothing of the message yet.
    pub(super) fn with_earlier(mut self) -> Self {
        self.fold = self.fold.with_earlier();
        self.earlier = true;
        self
    }

    /// The same, with few chunks for many events until the client has caught up. Where the client
    /// is cut it begins anew: nobody counts them.
    pub(super) fn compact(mut self) -> Self {
        self.run = Some(DeltaRun::new());
        self
    }

    /// The same, for a client that has answered these questions, if it has answered any: the stream
    /// doesn't end where they are asked, nor before it is known what came of them.
    pub(super) fn answering(mut self, inputs: impl IntoIterator<Item = InputId>) -> Self {
        let mut inputs = inputs.into_iter().peekable();
        self.answers = inputs.peek().is_some();
        self.fold.answered(inputs);
        self
    }

    /// After as many chunks.
    pub(super) fn after(has: u64) -> Self {
        Self {
            fold: UiMessageFold::new(),
            has,
            earlier: false,
            run: None,
            answers: false,
            began: false,
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
            run.bounded(session.event_bytes);
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
        if self.answers && !std::mem::replace(&mut self.began, true) {
            self.answers = self.fold.begin_anew();
        }
        let mut frames = SseSink {
            out,
            has: &mut self.has,
            run: self.run.as_mut(),
        };
        for record in records.records() {
            self.fold.push(&record, &mut frames);
        }
    }

    fn shared_key(&self) -> Option<&'static str> {
        // Who has some chunks already must write up to there by itself, and so must who catches up.
        // Who answers stops elsewhere than others.
        if self.run.is_some() || self.answers {
            return None;
        }
        match (self.has, self.earlier) {
            (0, false) => Some("ai-sdk"),
            (0, true) => Some("ai-sdk-earlier"),
            _ => None,
        }
    }

    fn heartbeat(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b": \n\n"))
    }

    // A chunk would count. The body fails after this, and that says it.
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

/// For chunks that the client has by its cursor, or by another's encoder.
pub(super) struct NullSink;

impl ChunkSink for NullSink {
    fn chunk(&mut self, _: &chunk::UiChunk<'_>) {}
    fn delta(&mut self, _: &'static str, _: &str, _: &[u8]) {}
}

/// Chunks as server-sent events, without those that the client has.
struct SseSink<'a> {
    out: &'a mut BytesMut,
    has: &'a mut u64,
    run: Option<&'a mut DeltaRun>,
}

/// A piece of text as a server-sent event.
pub(super) fn delta(kind: &str, id: &str, json: &[u8], out: &mut BytesMut) {
    out.put_slice(b"data: ");
    chunk::delta(kind, id, json, out);
    out.put_slice(b"\n\n");
}

impl SseSink<'_> {
    /// Where the next chunk goes, if it is wanted.
    fn next(&mut self) -> Option<&mut BytesMut> {
        if *self.has > 0 {
            *self.has -= 1;
            return None;
        }
        Some(self.out)
    }
}

impl ChunkSink for SseSink<'_> {
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

    fn delta(&mut self, kind: &'static str, id: &str, json: &[u8]) {
        if let Some(run) = &mut self.run {
            run.add(kind, id, json, self.out);
        } else if let Some(out) = self.next() {
            delta(kind, id, json, out);
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
            ToolCall,
        },
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
        let mut encoder = UiMessageEncoder::new();
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
    fn parts_are_opened_and_closed_and_never_share_a_name() {
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
                json!({"type": "reasoning-start", "id": "r2"}),
                json!({"type": "reasoning-delta", "id": "r2", "delta": "Hm."}),
                json!({"type": "reasoning-end", "id": "r2"}),
                json!({"type": "text-start", "id": "t3"}),
                json!({"type": "text-delta", "id": "t3", "delta": "Hel"}),
                json!({"type": "text-delta", "id": "t3", "delta": "lo"}),
                json!({"type": "text-end", "id": "t3"}),
                json!({"type": "reasoning-start", "id": "r5"}),
                json!({"type": "reasoning-delta", "id": "r5", "delta": "More?"}),
                json!({"type": "reasoning-end", "id": "r5"}),
                json!({"type": "finish-step"}),
                json!({"type": "finish", "finishReason": "stop"}),
            ]
        );
    }

    #[test]
    fn what_the_model_says_of_a_result_is_a_step_of_its_own() {
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
                json!({"type": "text-start", "id": "t4"}),
                json!({"type": "text-delta", "id": "t4", "delta": "Noon."}),
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
        let mut stream = UiMessageEncoder::new();
        let mut first = Lsn::new(1);
        let mut rests = |event: ChatEvent| {
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
        assert!(!rests(ChatEvent::tool_calls([
            call("1"),
            call("2"),
            call("3")
        ])));
        assert!(
            !rests(approval(&one, "1")),
            "the client would not send it yet"
        );
        assert!(!rests(approval(&two, "2")));
        assert!(rests(ChatEvent::tool_result("3", "pay", "paid")));
        // Whatever comes while one is open.
        assert!(rests(ChatEvent::custom("mood", json!("good"))));
        assert!(rests(ChatEvent::text("Well?")));
        assert!(
            !rests(InputResolved::new(one, InputAction::Accept).into()),
            "it runs now"
        );
        assert!(rests(ChatEvent::tool_result("1", "pay", "paid")));
        assert!(
            !rests(InputResolved::new(two, InputAction::Decline).into()),
            "no more to ask"
        );
        assert!(!rests(ChatEvent::tool_error("2", "pay", "not allowed")));
        assert!(!rests(ChatEvent::text("Done.")));
    }

    #[test]
    fn what_was_answered_to_another_session_is_asked_again_here() {
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
        let given = || UiMessageEncoder::new().answering([input.clone()]);
        // From its beginning on: it is the first that this client hears of the session.
        let mut anew = given();
        anew.encode(&records, &mut BytesMut::new());
        assert!(anew.may_pause());
        // After what the client has answered.
        let mut on = given();
        on.skip(&records);
        let mut batch = ChunkBuilder::new();
        batch.push(&ChatEvent::custom("mood", json!("good")).to_json());
        let next = batch.take(Lsn::new(3), Epoch::first()).unwrap();
        on.encode(&next, &mut BytesMut::new());
        assert!(!on.may_pause());
    }

    #[test]
    fn what_was_called_and_is_the_clients_holds_no_approval_back() {
        let approval = InputRequest::approval(InputId::random(), "May I?");
        let call = |id: &str| ToolCall::new(id, "map", json!({}));
        let types = types(&[
            ChatEvent::tool_calls([call("1"), call("2")]),
            crate::chat::IsomorphicHandoff::new("1", "map", json!({})).into(),
            approval.tool_call("2", "map", json!({})).into(),
            // And what is said now stays in the step that asks.
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
    fn what_was_not_streamed_is_said_at_the_end() {
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
