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
        chat::{
            Capabilities, ChatEvent, Citation, Complete, FinishReason, Media, SessionInfo,
            TextSpan, ToolCall, TurnEnd, Usage,
        },
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

    /// Returns the first event of a session whose client has a function `map`.
    fn first_with_map() -> ChatEvent {
        let mut info = SessionInfo::new(Capabilities::new().tools(["now", "map"]));
        info.capabilities.client_tools.push("map".to_owned());
        let note = json!({
            "created_at": 1, "model": "assistant", "background": false, "metadata": {"a": "b"},
            "request": {"temperature": 0.5, "effort": "low"},
        });
        info.extra.insert("response".into(), note);
        info.into()
    }

    fn input(id: &str, name: Option<&str>, delta: &str) -> ChatEvent {
        let event = json!({"type": "tool_input", "id": id, "name": name, "delta": delta});
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn arguments_of_the_clients_functions_are_streamed_as_they_come() {
        let events = encoded(
            0,
            &[
                first_with_map(),
                ChatEvent::text("Look: "),
                input("a", Some("map"), "{\"zoom\""),
                input("b", Some("now"), "{"),
                input("a", None, ": 3}"),
                ChatEvent::tool_calls([
                    ToolCall::new("a", "map", json!({"zoom": 3})),
                    ToolCall::new("b", "now", json!({})),
                ]),
                ChatEvent::tool_result("b", "now", "noon"),
                ChatEvent::isomorphic_handoff("a", "map", json!({"zoom": 3})),
                Complete::new()
                    .finish_reason(FinishReason::ToolCalls)
                    .into(),
            ],
        );
        let of = |kind: &str| -> Vec<_> {
            events
                .iter()
                .filter(|event| event["type"] == kind)
                .collect()
        };
        let deltas = of("response.function_call_arguments.delta");
        let deltas: Vec<_> = deltas.iter().map(|event| &event["delta"]).collect();
        assert_eq!(deltas, ["{\"zoom\"", ": 3}"]);
        assert_eq!(of("response.function_call_arguments.done").len(), 1);
        let output = &events.last().unwrap()["response"]["output"];
        let items: Vec<_> = (0..3)
            .map(|at| (&output[at]["type"], &output[at]["arguments"]))
            .collect();
        assert_eq!(
            json!(items),
            json!([
                ["message", null],
                ["function_call", "{\"zoom\": 3}"],
                ["mcp_call", "{}"]
            ])
        );
        assert_eq!(output[1]["status"], "completed");
    }

    #[test]
    fn a_call_that_never_became_whole_is_not_for_the_client_to_run() {
        let cut = |end: Complete| {
            let events = encoded(
                0,
                &[
                    first_with_map(),
                    input("a", Some("map"), "{\"zo"),
                    end.into(),
                ],
            );
            let done = events
                .iter()
                .find(|event| event["type"] == "response.output_item.done");
            assert_eq!(done.unwrap()["item"]["status"], "incomplete");
            events.last().unwrap()["response"]["output"].clone()
        };
        assert_eq!(cut(Complete::new()), json!([]));
        let items = cut(Complete::new().finish_reason(FinishReason::Length));
        assert_eq!(items[0]["status"], "incomplete");
    }

    #[test]
    fn sources_and_files_are_annotations_and_pictures_are_items() {
        let source = |id: &str, start: u64| {
            Citation::link(id, "https://a.b")
                .title("A")
                .at(TextSpan::new(start, start + 1))
        };
        let events = encoded(
            0,
            &[
                first(),
                ChatEvent::text("\u{e9}\u{e9}"),
                source("1", 1).into(),
                Media::link("image/png", "data:image/png;base64,AAAA").into(),
                ChatEvent::text("more"),
                source("2", 3).into(),
                Citation::document("doc").quote("q").into(),
                Media::link("image/*", "https://a.b/c").into(),
                Media::new("audio/wav", b"abc").name("a.wav").into(),
                ChatEvent::complete(),
            ],
        );
        let added = events
            .iter()
            .filter(|event| event["type"] == "response.output_text.annotation.added");
        let added: Vec<_> = added
            .map(|event| json!([event["output_index"], event["annotation_index"]]))
            .collect();
        assert_eq!(json!(added), json!([[0, 0], [2, 0], [2, 1], [4, 0]]));
        let output = &events.last().unwrap()["response"]["output"];
        let link = |start: u64| {
            json!({
                "type": "url_citation", "url": "https://a.b", "title": "A",
                "start_index": start, "end_index": start + 1,
            })
        };
        let of = |at: usize| &output[at]["content"][0]["annotations"];
        assert_eq!(*of(0), json!([link(1)]));
        let document = json!({
            "type": "file_citation", "file_id": "doc", "filename": "doc", "index": 4, "quote": "q",
        });
        assert_eq!(*of(2), json!([link(1), document]));
        assert_eq!(of(4)[0]["url"], "data:audio/wav;base64,YWJj");
        let pictures =
            [&output[1], &output[3]].map(|it| json!([it["type"], it["result"], it["url"]]));
        assert_eq!(
            json!(pictures),
            json!([
                ["image_generation_call", "AAAA", null],
                ["image_generation_call", null, "https://a.b/c"],
            ])
        );
    }

    #[test]
    fn every_ending_has_the_usage_and_the_model_of_its_turns() {
        let turn = |tokens| {
            TurnEnd::new(FinishReason::Stop)
                .usage(Usage::new(tokens, 1))
                .model("gpt")
        };
        let end = |last: ChatEvent| {
            let log = [
                first_with_map(),
                ChatEvent::text("a"),
                turn(1).into(),
                turn(2).into(),
                last,
            ];
            let mut last = encoded(0, &log).pop().unwrap();
            last["response"].take()
        };
        let cut = Complete::new().finish_reason(FinishReason::Length);
        for last in [
            ChatEvent::aborted(),
            ChatEvent::error(ErrorCode::Provider, "no"),
            cut.into(),
        ] {
            let response = end(last);
            assert_eq!(response["usage"]["input_tokens"], 3, "{response}");
            assert_eq!(response["model"], "gpt");
            assert_eq!(response["metadata"], json!({"a": "b"}));
            assert_eq!(response["temperature"], 0.5);
            assert_eq!(response["reasoning"]["effort"], "low");
        }
        let own = crate::chat::Aborted::new().usage(Usage::new(9, 9));
        assert_eq!(end(own.into())["usage"]["total_tokens"], 18);
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
