use serde_json::json;

use super::*;
use crate::{
    chat::{ChatOptions, Media, MediaDetail, Part, Reasoning},
    log::ChatId,
};

const LIMITS: RequestLimits = RequestLimits::new();

fn request(value: &Value) -> Result<ChatRequest, Refusal> {
    RunAgentInput::read(&value.to_string().into(), &LIMITS)?.into_request(&LIMITS)
}

#[test]
fn a_conversation_with_tools_becomes_messages() {
    let asked = request(&json!({
        "threadId": "t", "runId": "r", "state": {}, "context": [], "forwardedProps": {"a": 1},
        "messages": [
            {"id": "1", "role": "user", "content": [{"type": "text", "text": "Wh"}, {"type": "text", "text": "en?"}]},
            {"id": "2", "role": "reasoning", "content": "Hm"},
            {"id": "3", "role": "assistant", "toolCalls": [
                {"id": "c", "type": "function", "function": {"name": "now", "arguments": "{\"zone\":\"UTC\"}"}},
            ]},
            {"id": "4", "role": "tool", "toolCallId": "c", "content": "", "error": "no clock"},
            {"id": "5", "role": "assistant", "content": null, "toolCalls": null},
            {"id": "6", "role": "user", "content": "Try again"},
        ],
        "tools": [{"name": "map", "description": "Shows a map", "parameters": {"type": "object"}}],
    }))
    .unwrap();
    let call = ToolCall::new("c", "now", json!({"zone": "UTC"}));
    assert_eq!(
        asked.messages,
        [
            Message::user(Content::new().text("Wh").text("en?")),
            Message::assistant(Content::new().reasoning(Reasoning::new("Hm"))).tool_calls([call]),
            Message::tool_failed("c", "no clock"),
            Message::user("Try again"),
        ]
    );
    assert_eq!(asked.chat_id, Some(ChatId::new("t")));
    assert_eq!(asked.isomorphic_tools[0].name, "map");
    // These are dropped unless the application opens them.
    let mut extra: Vec<_> = asked.extra.keys().map(String::as_str).collect();
    extra.sort_unstable();
    assert_eq!(extra, ["context", "forwardedProps", "state"]);
}

#[test]
fn a_call_that_never_came_is_no_part_of_the_conversation() {
    let call = |id: &str| json!({"id": id, "function": {"name": "map", "arguments": "{\"zo"}});
    let of_ag_ui = json!({
        "role": "tool", "toolCallId": "a", "content": NEVER_CAME,
        "metadata": {"tanstack": {"state": "output-error"}, "unbroken": {"incomplete": true}},
    });
    let of_tanstack = json!({
        "role": "tool", "toolCallId": "a", "content": NEVER_CAME, "error": NEVER_CAME,
    });
    for result in [of_ag_ui, of_tanstack] {
        let asked = request(&json!({"messages": [
            {"role": "user", "content": "Where?"},
            {"role": "assistant", "content": "Look:", "toolCalls": [call("a"), call("b")]},
            result,
            {"role": "tool", "toolCallId": "b", "content": "a map"},
        ]}))
        .unwrap();
        let whole = ToolCall::from_text("b", "map", "{\"zo");
        let expected = [
            Message::user("Where?"),
            Message::assistant("Look:").tool_calls([whole]),
            Message::tool("b", "a map"),
        ];
        assert_eq!(asked.messages, expected);
    }
    // A tool may say the same.
    let said = json!({"role": "tool", "toolCallId": "a", "content": NEVER_CAME});
    let asked = json!({"messages": [{"role": "assistant", "toolCalls": [call("a")]}, said]});
    assert_eq!(request(&asked).unwrap().messages.len(), 2);
}

#[test]
fn media_of_every_form_are_parts() {
    let source = |of: &str, value: &str, kind: Option<&str>| json!({"type": of, "value": value, "mimeType": kind});
    let asked = request(&json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "Look"},
        {"type": "image", "source": source("data", "AAAA", Some("image/png")),
         "metadata": {"detail": "high", "filename": "a.png"}},
        {"type": "image", "source": source("url", "https://a.b/c", None)},
        {"type": "document", "source": source("url", "https://a.b/c.pdf", None)},
        {"type": "audio", "source": source("data", "AAAA", Some("audio/wav"))},
        {"type": "video", "source": source("url", "data:video/mp4;base64,AAAA", None)},
        {"type": "binary", "mimeType": "image/gif", "data": "AAAA", "filename": "b.gif"},
        {"type": "binary", "mimeType": "image/gif", "url": "https://a.b/c"},
    ]}]}))
    .unwrap();
    let data = |kind: &str| Media::link(kind, format!("data:{kind};base64,AAAA"));
    let first = data("image/png").name("a.png").detail(MediaDetail::High);
    let content = Content::new()
        .text("Look")
        .media(first)
        .media(Media::link("image/*", "https://a.b/c"))
        .media(Media::link("application/pdf", "https://a.b/c.pdf"))
        .media(data("audio/wav"))
        .media(data("video/mp4"))
        .media(data("image/gif").name("b.gif"))
        .media(Media::link("image/gif", "https://a.b/c"));
    assert_eq!(asked.messages, [Message::user(content)]);
    let odd = json!({"type": "image", "source": source("data", "AAAA", Some("image/png")),
                     "metadata": {"detail": "huge"}});
    let refusal = request(&json!({"messages": [{"role": "user", "content": [odd]}]}));
    let refusal = refusal.unwrap_err().detail;
    assert!(
        refusal.contains("`detail` must be `auto`, `low`"),
        "{refusal}"
    );
}

#[test]
fn what_was_given_to_the_client_for_the_provider_comes_back() {
    let state = |of: &str| ProviderState::new("p", json!(of));
    let sealed = |of: &str| SealedState::of_turn(state(of)).write();
    let asked = request(&json!({"messages": [
        {"role": "reasoning", "content": "Hm", "encryptedValue": sealed("a")},
        {"role": "assistant", "content": "So.", "encryptedValue": sealed("b"), "toolCalls": [
            {"id": "c", "function": {"name": "now"}, "encryptedValue": sealed("c")},
        ]},
        {"role": "tool", "toolCallId": "c", "content": "noon"},
    ]}))
    .unwrap();
    let content = Content::new()
        .reasoning(Reasoning::new("Hm").provider_state(state("a")))
        .text("So.")
        .reasoning(Reasoning::default().provider_state(state("b")));
    let mut call = ToolCall::new("c", "now", json!({}));
    call.provider_state = Some(state("c"));
    assert_eq!(
        asked.messages[0],
        Message::assistant(content).tool_calls([call])
    );
    let foreign =
        json!({"messages": [{"role": "assistant", "content": "a", "encryptedValue": "x"}]});
    assert!(
        request(&foreign)
            .unwrap_err()
            .detail
            .contains("`messages[0]`: `encryptedValue`")
    );
}

#[test]
fn reasoning_after_a_message_of_the_model_belongs_to_it() {
    let state = |data: &str| ProviderState::new("p", json!(data));
    let reasoning = |data: &str| {
        let sealed = SealedState::of_turn(state(data)).write();
        json!({"role": "reasoning", "content": "", "encryptedValue": sealed})
    };
    let call = json!({"id": "c", "type": "function", "function": {"name": "t", "arguments": "{}"}});
    let request = request(&json!({"messages": [
        {"role": "user", "content": "Hi"},
        {"role": "reasoning", "content": "Hm."},
        {"role": "assistant", "content": "I look.", "toolCalls": [call]},
        reasoning("one"),
        {"role": "tool", "toolCallId": "c", "content": "noon"},
        {"role": "assistant", "content": "Noon."},
        reasoning("two"),
        {"role": "user", "content": "And?"},
        reasoning("cut"),
        {"role": "user", "content": "Well?"},
        {"role": "assistant", "content": "Well."},
        reasoning("three"),
    ]}))
    .unwrap();
    let kept = |at: usize| {
        let parts = request.messages[at].content.parts().iter();
        let states = parts.filter_map(|part| match part {
            Part::Reasoning(reasoning) => reasoning.provider_state.clone(),
            _ => None,
        });
        states.collect::<Vec<_>>()
    };
    assert_eq!(request.messages.len(), 7);
    for (at, states) in [
        (1, vec![state("one")]),
        (3, vec![state("two")]),
        (6, vec![state("three")]),
    ] {
        assert_eq!(kept(at), states, "{at}");
    }
    assert_eq!(request.messages[1].text(), "I look.");
    let first = &request.messages[1].content.parts()[0];
    assert!(matches!(first, Part::Reasoning(it) if it.text == "Hm."));
}

#[test]
fn forwarded_props_are_options_by_the_names_of_tanstack() {
    let asked = |props: Value| {
        request(&json!({"messages": [{"role": "user", "content": "Hi"}], "forwardedProps": props}))
    };
    let read = asked(json!({
        "temperature": 0.5, "maxTokens": 9, "model": "m", "mine": 1,
        "modelOptions": {"top_p": 0.5, "seed": 7},
    }))
    .unwrap();
    let options = ChatOptions::new()
        .temperature(0.5)
        .max_output_tokens(9)
        .top_p(0.5)
        .seed(7);
    assert_eq!((read.model.as_deref(), read.options), (Some("m"), options));
    for (name, props) in [
        (
            "`forwardedProps.temperature`",
            json!({"temperature": "hot"}),
        ),
        ("`forwardedProps.temperature`", json!({"temperature": 3})),
        (
            "`forwardedProps.modelOptions.top_p`",
            json!({"modelOptions": {"top_p": 2}}),
        ),
    ] {
        let refusal = asked(props).unwrap_err();
        assert!(refusal.detail.contains(name), "{}", refusal.detail);
    }
    // For the application to open.
    let read = asked(json!({"min_p": 1, "mine": 2, "modelOptions": {"logit_bias": {"3": 4}}}));
    let mut unread = read.unwrap().extra;
    unread.remove("forwardedProps");
    let expected = json!({
        "forwardedProps.min_p": 1, "forwardedProps.modelOptions.logit_bias": {"3": 4},
    });
    assert_eq!(Value::Object(unread), expected);
}

#[test]
fn content_that_the_model_can_not_get_is_refused() {
    let image = json!({"type": "image", "source": {"type": "file", "value": "file-1"}});
    for messages in [
        json!([]),
        json!([{"role": "reasoning", "content": "Hm"}]),
        json!([{"role": "user", "content": [image]}]),
        json!([{"role": "user", "content": 7}]),
        json!([{"role": "wizard", "content": "Hi"}]),
        json!([{"role": "tool", "content": "noon"}]),
    ] {
        let refusal = request(&json!({"messages": messages})).unwrap_err();
        assert_eq!(refusal.problem, Problem::WrongShape, "{messages}");
    }
    let data = |source: Value| json!({"type": "image", "source": source});
    for (part, told) in [
        (data(json!({"type": "data"})), "`source.value` is missing"),
        (data(json!({"value": "AAAA"})), "`source.type` is missing"),
        (
            data(json!({"type": "data", "value": 7})),
            "`source.value` must be a string",
        ),
        (data(json!("AAAA")), "`source` must be an object"),
        (
            json!({"type": "text", "text": 7}),
            "`text` must be a string",
        ),
        (json!({"text": "Hi"}), "`type` is missing"),
        (json!("Hi"), "a part must be an object"),
    ] {
        let hello = json!({"type": "text", "text": "Hi"});
        let messages = json!([{"role": "user", "content": [hello, part]}]);
        let detail = request(&json!({"messages": messages})).unwrap_err().detail;
        let told = format!("`messages[0]`: `content[1]`: {told}");
        assert!(detail.starts_with(&told), "{detail}");
    }
    let not_json = RunAgentInput::read(&Bytes::from_static(b"{"), &LIMITS).unwrap_err();
    assert_eq!(not_json.problem, Problem::NotJson);
}

fn failed_tool(content: &Value, error: Option<&str>) -> String {
    let call = json!({"id": "c", "function": {"name": "now", "arguments": "{}"}});
    let asked = request(&json!({"messages": [
        {"role": "assistant", "toolCalls": [call]},
        {"role": "tool", "toolCallId": "c", "content": content, "error": error},
    ]}));
    asked.unwrap().messages[1].text().into_owned()
}

#[test]
fn the_error_of_a_tool_is_not_its_result() {
    for (content, told) in [
        (json!("null"), "Error: no GPS"),
        (json!(""), "Error: no GPS"),
        (json!("no GPS"), "Error: no GPS"),
        (json!("half of it"), "half of it\n\nError: no GPS"),
        (
            json!([{"type": "text", "text": "half"}]),
            "half\n\nError: no GPS",
        ),
    ] {
        assert_eq!(failed_tool(&content, Some("no GPS")), told, "{content}");
    }
    assert_eq!(failed_tool(&json!("null"), None), "null");
    assert_eq!(failed_tool(&json!("fine"), Some("")), "fine");
}
