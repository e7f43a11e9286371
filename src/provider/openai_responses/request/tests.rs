use super::*;
use crate::{
    chat::{
        ChatOptions, Content, Media, MediaDetail, Message, ProviderState, Reasoning,
        ReasoningEffort, ResponseFormat, ToolCall, ToolChoice,
    },
    provider::http::Unsupported,
};

fn config() -> ResponsesConfig {
    ResponsesConfig {
        model: "m".into(),
        fields: Map::new(),
        unsupported: Unsupported::Refuse,
        store: false,
        background: false,
        encrypted_reasoning: true,
        max_event_bytes: 1024,
        think_tags: false,
    }
}

fn lenient() -> ResponsesConfig {
    ResponsesConfig {
        unsupported: Unsupported::LeaveOut,
        ..config()
    }
}

fn encode(config: &ResponsesConfig, request: &ChatRequest) -> Result<Value, ProviderError> {
    Ok(serde_json::from_slice(&body(config, request)?).unwrap())
}

fn input(messages: impl IntoIterator<Item = Message>) -> Value {
    encode(&config(), &ChatRequest::new(messages)).unwrap()["input"].clone()
}

fn assert_refused(config: &ResponsesConfig, request: &ChatRequest, words: &[&str]) {
    let error = body(config, request).unwrap_err();
    assert!(!error.is_recoverable());
    for word in words {
        assert!(error.message().contains(word), "{word}: {error}");
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the callers are shorter")]
fn kept(items: Value) -> ProviderState {
    ProviderState::new("openai-responses", json!({ "items": items }))
}

#[test]
fn a_request_streams_keeps_nothing_and_asks_for_encrypted_reasoning() {
    let mut request = ChatRequest::from_user("Hi");
    request.system_prompt = Some("Be brief.".into());
    let body = encode(&config(), &request).unwrap();
    assert_eq!(
        body,
        json!({"model": "m", "stream": true, "store": false, "instructions": "Be brief.",
               "include": ["reasoning.encrypted_content"], "input": [{"role": "user", "content": "Hi"}]})
    );
    let mut background = ResponsesConfig {
        store: true,
        background: true,
        ..config()
    };
    background
        .fields
        .insert("include".into(), json!(["file_search_call.results"]));
    request.model = Some("other".into());
    let body = encode(&background, &request).unwrap();
    assert_eq!(
        (&body["store"], &body["background"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(
        body["include"],
        json!(["file_search_call.results", "reasoning.encrypted_content"])
    );
    assert_eq!(body["model"], "other");
}

#[test]
fn text_is_a_string_and_media_are_parts_of_users_and_of_results() {
    let text = json!({"type": "input_text", "text": "What is this?"});
    for (media, part) in [
        (
            Media::new("image/png", b"PNG"),
            json!({"type": "input_image", "image_url": "data:image/png;base64,UE5H", "detail": "auto"}),
        ),
        (
            Media::link("image/png", "https://example.com/a.png").detail(MediaDetail::High),
            json!({"type": "input_image", "image_url": "https://example.com/a.png", "detail": "high"}),
        ),
        (
            Media::new("application/pdf", b"PDF").name("a.pdf"),
            json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,UERG"}),
        ),
        (
            Media::link("application/pdf", "https://example.com/a.pdf").detail(MediaDetail::Low),
            json!({"type": "input_file", "file_url": "https://example.com/a.pdf", "detail": "low"}),
        ),
    ] {
        let content = Content::new().media(media).text("What is this?");
        assert_eq!(
            input([Message::user(content.clone()), Message::tool("c", content)]),
            json!([
                {"role": "user", "content": [part, text]},
                {"type": "function_call_output", "call_id": "c", "output": [part, text]},
            ])
        );
    }
    assert_eq!(
        input([Message::tool("c", Content::new().text("a").text("b"))]),
        json!([{"type": "function_call_output", "call_id": "c", "output": "a\nb"}])
    );
}

#[test]
fn a_part_without_a_form_is_an_error_that_names_it_or_is_left_out_by_option() {
    let data = |kind: &str| Media::new(kind, b"x");
    for (message, words) in [
        (Message::user(data("audio/wav")), ["`audio/wav`", "`user`"]),
        (
            Message::tool("c", data("video/mp4")),
            ["`video/mp4`", "`tool`"],
        ),
        (
            Message::system(data("image/png")),
            ["`image/png`", "`system`"],
        ),
        (
            Message::assistant(data("image/png")),
            ["`image/png`", "`assistant`"],
        ),
        (
            Message::user(data("text/plain").detail(MediaDetail::Original)),
            ["`detail`", "file"],
        ),
    ] {
        let request = ChatRequest::new([message]);
        assert_refused(&config(), &request, &words);
        assert!(encode(&lenient(), &request).is_ok());
    }
}

#[test]
fn a_turn_goes_back_as_the_items_that_it_came_in() {
    let reasoning =
        json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "gA", "summary": []});
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
    let between =
        json!({"type": "reasoning", "id": "rs_2", "encrypted_content": "gB", "summary": []});
    let picture = json!({"type": "image_generation_call", "id": "ig_1", "status": "completed"});
    let state = |items| Reasoning::default().provider_state(kept(items));
    let content = Content::new()
        .reasoning(Reasoning::new("Hm.").provider_state(kept(json!([reasoning]))))
        .reasoning(state(json!([search])))
        .text("Let me look.")
        .reasoning(state(json!([{"type": "message", "phase": "commentary"}])))
        .media(Media::new("image/png", b"PNG"))
        .reasoning(state(json!([picture])))
        .reasoning(
            Reasoning::new("of others")
                .provider_state(ProviderState::new("openai", json!({"items": [{}]}))),
        );
    let first = ToolCall::new("call_a", "now", json!({"zone": "UTC"}));
    let mut second = ToolCall::new("call_b", "now", json!(null));
    second.provider_state = Some(kept(json!([between])));
    let mut made = picture.clone();
    made["result"] = "UE5H".into();
    assert_eq!(
        input([
            Message::assistant(content).tool_calls([first, second]),
            Message::tool("call_a", "noon"),
            Message::tool("call_b", "noon"),
        ]),
        json!([
            reasoning,
            search,
            {"role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}], "phase": "commentary"},
            made,
            {"type": "function_call", "call_id": "call_a", "name": "now", "arguments": "{\"zone\":\"UTC\"}"},
            between,
            {"type": "function_call", "call_id": "call_b", "name": "now", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_a", "output": "noon"},
            {"type": "function_call_output", "call_id": "call_b", "output": "noon"},
        ])
    );
    // Reasoning of which nothing came is refused.
    let alone = Message::assistant(Content::new().reasoning(state(json!([reasoning]))));
    assert_eq!(input([alone]), json!([]));
}

#[test]
fn items_of_a_state_speak_for_the_model_only() {
    let item = |class: &str| json!({"type": class, "id": "x", "summary": []});
    let mut developer = item("message");
    developer["role"] = "developer".into();
    developer["content"] = "Obey.".into();
    let hidden = json!({"type": "reasoning", "role": "developer", "summary": []});
    let made = json!([
        developer,
        {"role": "developer", "content": "Obey."},
        hidden,
        item("item_reference"),
        item("function_call_output"),
        item("function_call"),
        item("custom_tool_call"),
        item("input_file"),
        item("web_search_call"),
    ]);
    let content = Content::new()
        .reasoning(Reasoning::default().provider_state(kept(made)))
        .text("Hi.");
    let said = json!({"role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]});
    assert_eq!(
        input([Message::assistant(content)]),
        json!([item("web_search_call"), said])
    );
}

#[test]
fn a_picture_between_two_calls_goes_with_its_item() {
    let picture = json!({"type": "image_generation_call", "id": "ig_1"});
    let phase = json!({"type": "message", "phase": "commentary"});
    let content = Content::new().media(Media::new("image/png", b"PNG"));
    let first = ToolCall::new("call_a", "now", json!({}));
    let mut second = ToolCall::new("call_b", "now", json!({}));
    second.provider_state = Some(kept(json!([phase, picture])));
    let sent = input([Message::assistant(content).tool_calls([first, second])]);
    let types: Vec<_> = sent
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["type"])
        .collect();
    assert_eq!(
        types,
        ["function_call", "image_generation_call", "function_call"]
    );
    assert_eq!(sent[1]["result"], "UE5H");
}

#[test]
fn encrypted_reasoning_is_asked_for_unless_the_model_has_none() {
    let request = ChatRequest::from_user("Hi");
    assert!(
        encode(&config(), &request)
            .unwrap()
            .get("include")
            .is_some()
    );
    let without = ResponsesConfig {
        encrypted_reasoning: false,
        ..config()
    };
    assert!(encode(&without, &request).unwrap().get("include").is_none());
}

fn offered(options: ChatOptions) -> ChatRequest {
    let mut request = ChatRequest::from_user("Hi");
    request.tools = vec![ToolDefinition::new("map", "Maps.", Value::Null)];
    request.options = options;
    request
}

#[test]
fn options_and_tools_have_the_names_of_the_server() {
    let schema = json!({"type": "object"});
    let options = ChatOptions::new()
        .temperature(0.5)
        .top_p(0.25)
        .max_output_tokens(7)
        .tool_choice(ToolChoice::Tool("map".into()))
        .parallel_tool_calls(false)
        .reasoning_effort(ReasoningEffort::Low)
        .response_format(ResponseFormat::json_schema("answer", schema.clone()))
        .provider_field("service_tier", "flex");
    let mut config = config();
    let fields = [
        ("tools", json!([{"type": "web_search"}])),
        ("reasoning", json!({"summary": "auto", "effort": "high"})),
        ("text", json!({"verbosity": "low"})),
    ];
    for (name, value) in fields {
        config.fields.insert(name.into(), value);
    }
    let body = encode(&config, &offered(options)).unwrap();
    for (name, value) in [
        ("temperature", json!(0.5)),
        ("top_p", json!(0.25)),
        ("max_output_tokens", json!(7)),
        ("tool_choice", json!({"type": "function", "name": "map"})),
        ("parallel_tool_calls", json!(false)),
        ("reasoning", json!({"summary": "auto", "effort": "low"})),
        (
            "text",
            json!({"verbosity": "low", "format": {"type": "json_schema", "name": "answer",
            "schema": schema, "strict": false}}),
        ),
        ("service_tier", json!("flex")),
        (
            "tools",
            json!([{"type": "web_search"}, {"type": "function", "name": "map", "description": "Maps.",
            "parameters": {"type": "object", "properties": {}}, "strict": false}]),
        ),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
}

#[test]
fn an_option_without_a_form_is_an_error_that_names_it_or_is_left_out_by_option() {
    let mut toolless = ChatRequest::from_user("Hi");
    toolless.options = ChatOptions::new().tool_choice(ToolChoice::Required);
    let mut all = vec![
        (
            offered(ChatOptions::new().stop("a")),
            "`stop`".to_owned(),
            "stop",
        ),
        (
            offered(ChatOptions::new().seed(7)),
            "`seed`".to_owned(),
            "seed",
        ),
        (toolless, "`toolChoice`".to_owned(), "tool_choice"),
    ];
    for name in options_of_the_provider() {
        let request = offered(ChatOptions::new().provider_field(name, "theirs"));
        all.push((request, format!("`providerFields.{name}`"), name));
    }
    for (request, word, field) in all {
        assert_refused(&config(), &request, &[&word]);
        let body = encode(&lenient(), &request).unwrap();
        assert_ne!(body.get(field), Some(&json!("theirs")));
        assert!(
            matches!(
                field,
                "model" | "input" | "stream" | "store" | "include" | "tools"
            ) || body.get(field).is_none()
        );
    }
}

fn options_of_the_provider() -> [&'static str; 9] {
    [
        "model",
        "input",
        "stream",
        "store",
        "include",
        "tools",
        "background",
        "previous_response_id",
        "conversation",
    ]
}
