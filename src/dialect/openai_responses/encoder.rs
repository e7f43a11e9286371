use bytes::{Bytes, BytesMut};

use super::fold::ResponseFold;
use crate::{
    dialect::{Encoder, SessionView, frames::JsonFrames},
    log::Chunk,
};

/// Writes server-sent events: the type of a response event as `event:`, the event as `data:`.
#[derive(Debug)]
pub(super) struct ResponsesEncoder {
    fold: ResponseFold,
    frames: JsonFrames,
    /// The number of the first event that is written.
    from: u64,
}

impl ResponsesEncoder {
    /// Creates an encoder that begins with the event of this number.
    pub(super) fn from(number: u64) -> Self {
        Self {
            fold: ResponseFold::new(""),
            frames: JsonFrames::default(),
            from: number,
        }
    }

    /// Folds a record, and returns the number of its first event.
    fn push(&mut self, record: &[u8]) -> u64 {
        let first = self.fold.events();
        self.frames.clear();
        self.fold.push(record, &mut self.frames);
        first
    }
}

impl Encoder for ResponsesEncoder {
    fn content_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn preamble(&mut self, session: &SessionView<'_>, _: &mut BytesMut) {
        self.fold = ResponseFold::new(session.id.as_str());
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn skip(&mut self, records: &Chunk) {
        for record in records.records() {
            self.push(record.bytes);
        }
    }

    fn encode(&mut self, records: &Chunk, out: &mut BytesMut) {
        for record in records.records() {
            let first = self.push(record.bytes);
            for (json, number) in self.frames.iter().zip(first..) {
                if number >= self.from {
                    write(json, out);
                }
            }
        }
    }

    fn shared_key(&self) -> Option<&'static str> {
        (self.fold.events() >= self.from).then_some("openai-responses")
    }

    fn heartbeat(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b": \n\n"))
    }

    fn unavailable(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(
            br#"event: error
data: {"type":"error","code":"server_error","message":"The log can't be reached now. Retrieve the response again, after the last event that came.","param":null}

"#,
        );
    }
}

/// Writes an event. Its JSON begins with its type, which has no characters to escape.
fn write(json: &[u8], out: &mut BytesMut) {
    const HEAD: &[u8] = br#"{"type":""#;
    let kind = json.strip_prefix(HEAD).unwrap_or_default();
    let end = kind.iter().position(|&byte| byte == b'"').unwrap_or(0);
    for piece in [b"event: ", &kind[..end], b"\ndata: ", json, b"\n\n"] {
        out.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        chat::{Capabilities, ChatEvent, Complete, FinishReason, SessionInfo, ToolCall, Usage},
        log::{ChunkBuilder, Epoch, ErrorCode, Lsn, SessionId, Status},
    };

    const ID: &str = "resp_0123456789abcdefghjkmnpqrs";

    fn chunk(events: &[ChatEvent]) -> Chunk {
        let mut batch = ChunkBuilder::new();
        for event in events {
            batch.push(&event.to_json());
        }
        batch.take(Lsn::new(1), Epoch::first()).unwrap()
    }

    fn encoded(from: u64, events: &[ChatEvent]) -> Vec<Value> {
        let mut encoder = ResponsesEncoder::from(from);
        let id: SessionId = ID.parse().unwrap();
        let view = SessionView::new(&id, Status::Streaming, Lsn::ZERO);
        let mut out = BytesMut::new();
        encoder.preamble(&view, &mut out);
        encoder.encode(&chunk(events), &mut out);
        let text = std::str::from_utf8(&out).unwrap();
        let data = |frame: &str| {
            let (event, data) = frame.split_once("\ndata: ").unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(event.strip_prefix("event: "), data["type"].as_str());
            data
        };
        text.split_terminator("\n\n").map(data).collect()
    }

    fn first() -> ChatEvent {
        let mut info = SessionInfo::new(Capabilities::new());
        let note = json!({"created_at": 1_764_133_345, "model": "assistant", "background": true});
        info.extra.insert("response".into(), note);
        info.into()
    }

    fn kinds(events: &[Value]) -> Vec<&str> {
        events
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn an_answer_is_a_response_with_a_message() {
        let complete = Complete::new().usage(Usage::new(3, 4));
        let events = encoded(
            0,
            &[
                first(),
                ChatEvent::text("Hel\"l"),
                ChatEvent::text("o"),
                complete.into(),
            ],
        );
        assert_eq!(
            kinds(&events),
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.completed",
            ]
        );
        let created = &events[0]["response"];
        assert_eq!(created["id"], ID);
        assert_eq!(created["created_at"], 1_764_133_345);
        assert_eq!(created["model"], "assistant");
        assert_eq!(created["status"], "in_progress");
        let item = format!("msg_{ID}_0");
        assert_eq!(
            events[4],
            json!({
                "type": "response.output_text.delta", "item_id": item, "output_index": 0,
                "content_index": 0, "delta": "Hel\"l", "logprobs": [], "sequence_number": 4,
            })
        );
        let response = &events[9]["response"];
        assert_eq!(response["status"], "completed");
        assert_eq!(
            response["output"],
            json!([{
                "type": "message", "id": item, "status": "completed", "role": "assistant",
                "content": [{
                    "type": "output_text", "text": "Hel\"lo", "annotations": [], "logprobs": [],
                }],
            }])
        );
        assert_eq!(
            response["usage"],
            json!({
                "input_tokens": 3, "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 7,
            })
        );
    }

    #[test]
    fn client_tools_are_function_calls_and_server_tools_are_not() {
        let events = encoded(
            0,
            &[
                first(),
                ChatEvent::tool_calls([
                    ToolCall::new("a", "now", json!({"zone": "UTC"})),
                    ToolCall::new("b", "map", json!({"zoom": 3})),
                    ToolCall::new("c", "tell", json!({})),
                ]),
                ChatEvent::tool_result("a", "now", "noon"),
                ChatEvent::isomorphic_handoff("b", "map", json!({"zoom": 3})),
                Complete::new()
                    .finish_reason(FinishReason::ToolCalls)
                    .into(),
            ],
        );
        let output = events.last().unwrap()["response"]["output"].clone();
        assert_eq!(output[0]["type"], "mcp_call");
        assert_eq!(output[0]["output"], "noon");
        assert_eq!(output[0]["arguments"], r#"{"zone":"UTC"}"#);
        let calls: Vec<_> = [&output[1], &output[2]]
            .iter()
            .map(|item| {
                (
                    item["type"].clone(),
                    item["call_id"].clone(),
                    item["arguments"].clone(),
                )
            })
            .collect();
        assert_eq!(
            json!(calls),
            json!([
                ["function_call", "b", r#"{"zoom":3}"#],
                ["function_call", "c", "{}"]
            ])
        );
    }

    #[test]
    fn each_ending_is_an_event_of_the_sdks() {
        let end = |event: ChatEvent| {
            let last = encoded(0, &[first(), ChatEvent::text("a"), event])
                .pop()
                .unwrap();
            let response = &last["response"];
            json!([
                last["type"],
                response["status"],
                response["error"],
                response["incomplete_details"]
            ])
        };
        assert_eq!(
            end(ChatEvent::aborted()),
            json!(["response.incomplete", "cancelled", null, null])
        );
        assert_eq!(
            end(ChatEvent::error(ErrorCode::Timeout, "too slow")),
            json!([
                "response.failed", "failed", {"code": "server_error", "message": "too slow"}, null
            ])
        );
        let cut = Complete::new().finish_reason(FinishReason::Length);
        assert_eq!(
            end(cut.into()),
            json!(["response.incomplete", "incomplete", null, {"reason": "max_output_tokens"}])
        );
    }

    #[test]
    fn a_stream_begins_after_any_event() {
        let log = [
            first(),
            ChatEvent::thinking("Hm"),
            ChatEvent::text("a"),
            ChatEvent::complete(),
        ];
        let all = encoded(0, &log);
        for from in 0..=all.len() {
            assert_eq!(encoded(from as u64, &log), all[from..]);
        }
    }
}
