use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{content::InputContent, history::InputHistory, item::PictureFields};
use crate::{
    chat::{Message, Role, values_in_text},
    dialect::{Element, Problem, Refusal, RequestLimits, sealed::SealedState, unanswered_calls},
    log::SessionId,
};

/// The `input` of a request: a text, or the items of a conversation.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ResponseInput {
    Text(String),
    Items(Vec<Value>),
    Other(IgnoredAny),
}

/// An item of a conversation, including the items of a response's `output`.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum InputItem {
    Message {
        id: Option<String>,
        role: InputRole,
        content: InputContent,
    },
    FunctionCall {
        id: Option<String>,
        call_id: String,
        name: String,
        #[serde(default)]
        arguments: String,
    },
    FunctionCallOutput {
        call_id: String,
        output: InputContent,
    },
    McpCall {
        id: String,
        name: String,
        #[serde(default)]
        arguments: String,
        #[serde(default)]
        output: Option<String>,
        #[serde(default)]
        error: Option<Value>,
    },
    Reasoning {
        id: Option<String>,
        #[serde(default)]
        summary: Option<Vec<ReasoningText>>,
        #[serde(default)]
        content: Option<Vec<ReasoningText>>,
        #[serde(default)]
        encrypted_content: Option<String>,
    },
    ImageGenerationCall {
        id: Option<String>,
        #[serde(default)]
        result: Option<String>,
        #[serde(default)]
        output_format: Option<String>,
        #[serde(flatten)]
        own: PictureFields,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InputRole {
    User,
    Assistant,
    System,
    Developer,
}

/// A piece of reasoning, or of its summary.
#[derive(Debug, Deserialize)]
pub(super) struct ReasoningText {
    pub(super) text: String,
}

impl InputRole {
    pub(super) const fn role(self) -> Role {
        match self {
            Self::User => Role::User,
            Self::Assistant => Role::Assistant,
            Self::System | Self::Developer => Role::System,
        }
    }
}

impl ResponseInput {
    /// Returns true if the last item is the output of a function call.
    pub(super) fn ends_with_outputs(&self) -> bool {
        let last = match self {
            Self::Items(items) => items.last(),
            Self::Text(_) | Self::Other(_) => None,
        };
        last.is_some_and(|item| item["type"] == "function_call_output")
    }

    /// Returns the response that made the last function call. The ids of its items contain its own.
    pub(super) fn response_of_calls(&self) -> Option<SessionId> {
        let Self::Items(items) = self else {
            return None;
        };
        let mut items = items.iter().rev();
        let call = items.find(|item| item["type"] == "function_call")?;
        let (response, _) = call["id"].as_str()?.strip_prefix("fc_")?.rsplit_once('_')?;
        response.parse().ok()
    }

    /// Returns the number of JSON values in the texts that are decoded as JSON.
    pub(super) fn values_in_texts(&self) -> usize {
        let items: &[Value] = match self {
            Self::Items(items) => items,
            Self::Text(_) | Self::Other(_) => &[],
        };
        let values = items.iter().map(|item| {
            let text = |name: &str| item[name].as_str().unwrap_or_default();
            match text("type") {
                "function_call" | "mcp_call" => values_in_text(text("arguments")),
                "reasoning" => SealedState::values(text("encrypted_content")),
                _ => 0,
            }
        });
        values.sum()
    }

    pub(super) fn into_messages(self, limits: &RequestLimits) -> Result<Vec<Message>, Refusal> {
        let items = match self {
            Self::Text(text) => return Ok(vec![Message::user(text)]),
            Self::Items(items) => items,
            Self::Other(_) => return Err(wrong("`input` is a text or a list of items")),
        };
        limits.check(Element::Message, items.len())?;
        limits.check(Element::Part, items.iter().map(parts).sum())?;
        let mut history = InputHistory::default();
        for (at, item) in items.into_iter().enumerate() {
            let kind = item["type"].as_str().unwrap_or_default().to_owned();
            history
                .add(read(item, at)?, &kind)
                .map_err(|why| wrong(&format!("`input[{at}]`: {why}")))?;
        }
        let mut messages = history.into_messages();
        unanswered_calls::leave_out(&mut messages);
        Ok(messages)
    }
}

/// Returns the number of pieces of an item's content, or one for a call.
fn parts(item: &Value) -> usize {
    let lists = ["content", "output", "summary"];
    let pieces = lists.iter().filter_map(|name| item.get(name)?.as_array());
    pieces.map(Vec::len).sum::<usize>().max(1)
}

/// Reads an item. A message needs no `type`.
fn read(mut item: Value, at: usize) -> Result<InputItem, Refusal> {
    if let Value::Object(fields) = &mut item
        && fields.contains_key("role")
        && !fields.contains_key("type")
    {
        fields.insert("type".to_owned(), Value::from("message"));
    }
    InputItem::deserialize(item)
        .map_err(|error| wrong(&format!("`input[{at}]` is not an item: {error}")))
}

pub(super) fn wrong(why: &str) -> Refusal {
    Refusal::new(Problem::WrongShape, why.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        chat::{ChatEvent, Content, Media, MediaDetail, ProviderState, Reasoning, ToolCall},
        dialect::openai_responses::fold::ResponseFold,
        log::{ChunkBuilder, Epoch, Lsn},
    };

    fn messages(input: Value) -> Result<Vec<Message>, Refusal> {
        ResponseInput::deserialize(input)
            .unwrap()
            .into_messages(&RequestLimits::new())
    }

    #[test]
    fn a_text_is_a_message_of_the_user() {
        assert_eq!(messages(json!("Hi")).unwrap(), [Message::user("Hi")]);
    }

    #[test]
    fn the_items_of_a_response_can_be_sent_back() {
        let text = |text: &str| json!([{"type": "output_text", "text": text, "annotations": []}]);
        let read = messages(json!([
            {"role": "user", "content": [{"type": "input_text", "text": "When?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "content": []},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": text("Let me see.")},
            {"type": "mcp_call", "id": "mcp_1", "server_label": "server", "name": "now",
             "arguments": "{}", "output": "noon", "error": null},
            {"type": "function_call", "id": "fc_1", "call_id": "b", "name": "map", "arguments": "{\"zoom\":3}"},
            {"type": "function_call", "id": "fc_2", "call_id": "c", "name": "map", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "b", "output": "shown"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "shown too"}]},
            {"role": "developer", "content": "Be brief."},
        ]))
        .unwrap();
        let now = ToolCall::new("mcp_1", "now", json!({}));
        let map = |id: &str, arguments| ToolCall::new(id, "map", arguments);
        assert_eq!(
            read,
            [
                Message::user("When?"),
                Message::assistant("Let me see.").tool_calls([now]),
                Message::tool("mcp_1", "noon"),
                Message::assistant("")
                    .tool_calls([map("b", json!({"zoom": 3})), map("c", json!({}))]),
                Message::tool("b", "shown"),
                Message::tool("c", "shown too"),
                Message::system("Be brief."),
            ]
        );
    }

    #[test]
    fn pictures_files_and_sounds_are_media() {
        let (png, pdf) = (
            "data:image/png;base64,AAAA",
            "data:application/pdf;base64,AAAA",
        );
        let read = messages(json!([
            {"role": "user", "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": png, "detail": "auto"},
                {"type": "input_image", "image_url": "https://a.b/c", "detail": "high", "file_id": null},
                {"type": "input_file", "file_data": pdf, "filename": "a.pdf"},
                {"type": "input_file", "file_data": "AAAA", "filename": "b.csv"},
                {"type": "input_file", "file_url": "https://a.b/c.pdf"},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            ]},
            {"type": "function_call", "call_id": "c", "name": "see", "arguments": ""},
            {"type": "function_call_output", "call_id": "c", "output": [
                {"type": "input_image", "image_url": png},
            ]},
        ]))
        .unwrap();
        let link = Media::link("image/*", "https://a.b/c").detail(MediaDetail::High);
        let content = Content::new()
            .text("What is this?")
            .media(Media::link("image/png", png))
            .media(link)
            .media(Media::link("application/pdf", pdf).name("a.pdf"))
            .media(Media::link("text/csv", "data:text/csv;base64,AAAA").name("b.csv"))
            .media(Media::link("application/pdf", "https://a.b/c.pdf"))
            .media(Media::link("audio/mpeg", "data:audio/mpeg;base64,AAAA"));
        assert_eq!(read[0], Message::user(content));
        assert_eq!(read[2], Message::tool("c", Media::link("image/png", png)));
    }

    #[test]
    fn media_in_results_go_back_into_their_results() {
        let png = |of: u8| Media::new("image/png", [of, 1, 2]);
        let pdf = Media::new("application/pdf", b"pdf").name("a.pdf");
        let link = Media::link("image/png", "https://a.b/c");
        let of = Content::new()
            .text("a")
            .media(png(1).name("1.png").detail(MediaDetail::High))
            .media(pdf.detail(MediaDetail::Low))
            .media(link.clone())
            .text("b");
        let said = [
            png(3).name("3.png").detail(MediaDetail::Original),
            link,
            Media::link("image/*", "https://a.b/c.png"),
            Media::new("image/png;a=b", b"png"),
        ];
        let call = |id: &str| ToolCall::new(id, "draw", json!({}));
        let events = [
            ChatEvent::tool_calls([call("c1"), call("c2")]),
            ChatEvent::tool_result("c2", "draw", png(2)),
            ChatEvent::tool_result("c1", "draw", of.clone()),
            ChatEvent::text("There: "),
            said[0].clone().into(),
            said[1].clone().into(),
            said[2].clone().into(),
            said[3].clone().into(),
            ChatEvent::complete(),
        ];
        let mut records = ChunkBuilder::new();
        for event in &events {
            records.push(&event.to_json());
        }
        let records = records.take(Lsn::new(1), Epoch::first()).unwrap();
        let response = ResponseFold::document("resp_1", &[records]);
        let response: Value = serde_json::from_slice(&response).unwrap();
        let read = messages(response["output"].clone()).unwrap();
        let calls: Vec<_> = read[0].tool_calls.iter().map(|call| &call.id).collect();
        assert_eq!(calls.len(), 2, "{response}");
        let results = [png(2).into(), of];
        for (at, result) in results.into_iter().enumerate() {
            assert_eq!(read[at + 1], Message::tool(calls[at], result), "{response}");
        }
        let said = said
            .into_iter()
            .fold(Content::new().text("There: "), Content::media);
        assert_eq!(read[3..], [Message::assistant(said)]);
    }

    #[test]
    fn a_medium_in_the_result_of_no_call_is_of_the_turn() {
        let read = messages(json!([
            {"type": "image_generation_call", "id": "ig_resp_1_0", "result": "iVBORw0KGgo=",
             "of_result": {"item_id": "mcp_resp_1_7", "at": 0}},
        ]));
        assert_eq!(read.unwrap()[0].content.all_media().count(), 1);
        let item =
            json!({"type": "image_generation_call", "result": "iVBORw0KGgo=", "detail": "huge"});
        let detail = messages(json!([item])).unwrap_err().detail;
        assert!(detail.contains("`original`"), "{detail}");
    }

    #[test]
    fn a_part_that_can_not_be_given_to_the_model_is_refused_by_its_field() {
        for (part, word) in [
            (
                json!({"type": "input_image", "file_id": "file-1"}),
                "file_id",
            ),
            (
                json!({"type": "input_file", "file_id": "file-1"}),
                "file_id",
            ),
            (json!({"type": "input_image"}), "image_url"),
            (
                json!({"type": "input_image", "image_url": "https://a.b/c", "detail": "huge"}),
                "`original`",
            ),
            (
                json!({"type": "input_image", "image_url": "ftp://a"}),
                "https://",
            ),
            (
                json!({"type": "input_image", "image_url": "data:image/png,AA"}),
                "base64",
            ),
            (json!({"type": "input_file", "filename": "a"}), "file_data"),
            (json!({"type": "input_audio"}), "input_audio"),
            (
                json!({"type": "input_audio", "input_audio": {"data": "AAAA"}}),
                "`input_audio.format` is missing",
            ),
            (
                json!({"type": "input_audio", "input_audio": {"format": "mp3", "data": 7}}),
                "`input_audio.data` must be a string",
            ),
            (
                json!({"type": "input_audio", "input_audio": "AAAA"}),
                "`input_audio` must be an object",
            ),
            (
                json!({"type": "input_text", "text": 7}),
                "`text` must be a string",
            ),
            (json!({"type": "input_text"}), "`text` is missing"),
            (
                json!({"type": "output_text", "text": "a", "annotations": {}}),
                "`annotations` must be a list",
            ),
            (json!({"text": "Hi"}), "`type` is missing"),
            (json!("Hi"), "must be an object"),
            (json!({"type": "input_video", "video": "x"}), "input_video"),
        ] {
            let hello = json!({"type": "input_text", "text": "Hi"});
            let input = json!([{"role": "user", "content": [hello, part]}]);
            let refusal = messages(input).unwrap_err();
            assert!(
                refusal.detail.contains("`input[0]`: `content[1]`"),
                "{}",
                refusal.detail
            );
            assert!(refusal.detail.contains(word), "{}", refusal.detail);
        }
    }

    #[test]
    fn content_of_another_shape_is_refused_by_its_field() {
        let output = |output: Value| json!([{"type": "function_call_output", "call_id": "c", "output": output}]);
        for (input, told) in [
            (
                json!([{"role": "user", "content": null}]),
                "`input[0]`: `content` must be",
            ),
            (
                json!([{"role": "user", "content": {"text": "Hi"}}]),
                "`input[0]`: `content` must be",
            ),
            (output(json!(7)), "`input[0]`: `output` must be"),
            (
                output(json!([{"type": "input_image"}])),
                "`input[0]`: `output[0]`: `image_url`",
            ),
        ] {
            let detail = messages(input).unwrap_err().detail;
            assert!(detail.starts_with(told), "{detail}");
        }
    }

    #[test]
    fn a_turn_is_one_message_with_what_the_provider_is_handed_back() {
        let state = |of: &str| ProviderState::new("p", json!({"signature": of}));
        let sealed = |state| SealedState::of_turn(state).write();
        let text = |text: &str| json!([{"type": "output_text", "text": text}]);
        let read = messages(json!([
            {"role": "user", "content": "When?"},
            {"type": "reasoning", "id": "rs_resp_1_0", "summary": [],
             "content": [{"type": "reasoning_text", "text": "Hm."}],
             "encrypted_content": sealed(state("a"))},
            {"type": "message", "id": "msg_resp_1_1", "role": "assistant", "content": text("I look.")},
            {"type": "reasoning", "id": "rs_resp_1_2", "summary": [],
             "encrypted_content": SealedState::of_call("mcp_resp_1_3", state("b")).write()},
            {"type": "mcp_call", "id": "mcp_resp_1_3", "name": "now", "arguments": "{}", "output": "noon"},
            {"type": "mcp_call", "id": "mcp_resp_1_4", "name": "now", "arguments": "{}", "error": "no"},
            {"type": "mcp_call", "id": "mcp_resp_1_5t1", "name": "now", "arguments": "{}", "output": "one"},
            {"type": "reasoning", "id": "rs_foreign", "encrypted_content": null,
             "summary": [{"type": "summary_text", "text": "So."}]},
            {"type": "image_generation_call", "id": "ig_resp_1_6t2", "result": "/9j/AAAA"},
            {"type": "message", "id": "msg_resp_1_7t2", "role": "assistant", "content": text("There.")},
        ]))
        .unwrap();
        let now = |id: &str| ToolCall::new(id, "now", json!({}));
        let mut first = now("mcp_resp_1_3");
        first.provider_state = Some(state("b"));
        let looked = Content::new()
            .reasoning(Reasoning::new("Hm.").provider_state(state("a")))
            .text("I look.");
        let end = Content::new()
            .reasoning(Reasoning::new("So."))
            .media(Media::link("image/jpeg", "data:image/jpeg;base64,/9j/AAAA"))
            .text("There.");
        assert_eq!(
            read,
            [
                Message::user("When?"),
                Message::assistant(looked).tool_calls([first, now("mcp_resp_1_4")]),
                Message::tool("mcp_resp_1_3", "noon"),
                Message::tool_failed("mcp_resp_1_4", "no"),
                Message::assistant("").tool_calls([now("mcp_resp_1_5t1")]),
                Message::tool("mcp_resp_1_5t1", "one"),
                Message::assistant(end),
            ]
        );
        let foreign = messages(json!([{"type": "reasoning", "encrypted_content": "gAAAA"}]));
        assert!(foreign.unwrap_err().detail.contains("encrypted_content"));
    }

    #[test]
    fn an_item_that_the_model_can_not_get_is_refused_with_its_index() {
        for (bad, index) in [
            (
                json!([{"role": "user", "content": "Hi"}, {"type": "web_search_call"}]),
                "[1]",
            ),
            (
                json!([{"role": "user", "content": [{"type": "input_image"}]}]),
                "[0]",
            ),
            (json!([{"role": "wizard", "content": "Hi"}]), "[0]"),
            (json!([7]), "[0]"),
            (json!({"role": "user"}), "input"),
        ] {
            let refusal = messages(bad).unwrap_err();
            assert_eq!(refusal.problem, Problem::WrongShape);
            assert!(refusal.detail.contains(index), "{}", refusal.detail);
        }
    }
}
