use super::*;
use crate::{
    chat::{
        ChatOptions, Content, Media, MediaDetail, ProviderState, Reasoning, ReasoningEffort,
        ResponseFormat, ToolChoice, ToolDefinition,
    },
    provider::{http::Unsupported, openai::ReasoningHistory},
};

fn config() -> OpenAiConfig {
    OpenAiConfig {
        model: "m".into(),
        fields: Map::new(),
        usage: false,
        unsupported: Unsupported::Refuse,
        tool_media: false,
        continues: true,
        max_tokens_field: "max_tokens",
        reasoning_history: ReasoningHistory::LeaveOut,
        reasoning_field: "reasoning_content".into(),
        think_tags: false,
        max_event_bytes: 1024,
    }
}

fn lenient() -> OpenAiConfig {
    OpenAiConfig {
        unsupported: Unsupported::LeaveOut,
        ..config()
    }
}

fn encode(config: &OpenAiConfig, request: &ChatRequest) -> Result<Value, ProviderError> {
    Ok(serde_json::from_slice(&body(config, request)?).unwrap())
}

fn content_of(config: &OpenAiConfig, message: Message) -> Result<Value, ProviderError> {
    let body = encode(config, &ChatRequest::new([message]))?;
    Ok(body["messages"][0]["content"].clone())
}

fn assert_refused(config: &OpenAiConfig, request: &ChatRequest, words: &[&str]) {
    let error = body(config, request).unwrap_err();
    assert!(!error.is_recoverable());
    for word in words {
        assert!(error.message().contains(word), "{word}: {error}");
    }
}

#[test]
fn text_is_a_string_and_media_of_users_are_parts() {
    let user = |content: Content| content_of(&config(), Message::user(content)).unwrap();
    assert_eq!(user("Hi".into()), json!("Hi"));
    assert_eq!(user(Content::new().text("a").text("b")), json!("a\nb"));
    let text = json!({"type": "text", "text": "What is this?"});
    for (media, part) in [
        (
            Media::new("image/png", b"PNG"),
            json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H"}}),
        ),
        (
            Media::link("image/png", "https://example.com/a.png"),
            json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
        ),
        (
            Media::link("image/png", "https://example.com/a.png").detail(MediaDetail::High),
            json!({"type": "image_url",
                   "image_url": {"url": "https://example.com/a.png", "detail": "high"}}),
        ),
        (
            Media::new("audio/x-wav", b"WAV"),
            json!({"type": "input_audio", "input_audio": {"data": "V0FW", "format": "wav"}}),
        ),
        (
            Media::new("audio/mpeg", b"MP3"),
            json!({"type": "input_audio", "input_audio": {"data": "TVAz", "format": "mp3"}}),
        ),
        (
            Media::new("application/pdf", b"PDF").name("a.pdf"),
            json!({"type": "file", "file": {
                "filename": "a.pdf", "file_data": "data:application/pdf;base64,UERG",
            }}),
        ),
        (
            Media::new("text/plain", b"txt"),
            json!({"type": "file", "file": {
                "filename": "file.txt", "file_data": "data:text/plain;base64,dHh0",
            }}),
        ),
    ] {
        let content = Content::new().media(media).text("What is this?");
        assert_eq!(user(content), json!([part, text]));
    }
}

#[test]
fn a_partial_answer_is_continued_by_the_last_message() {
    let mut request = ChatRequest::from_user("Hi");
    assert!(
        encode(&config(), &request)
            .unwrap()
            .get("continue_final_message")
            .is_none()
    );
    request.messages.push(Message::assistant("Hel"));
    request.so_far = Some(std::sync::Arc::new(
        [crate::chat::ChatEvent::text("Hel")].iter().collect(),
    ));
    let body = encode(&config(), &request).unwrap();
    assert_eq!(body["continue_final_message"], true);
    assert_eq!(body["add_generation_prompt"], false);
}

#[test]
fn the_detail_of_a_file_is_an_error_or_is_left_out_by_option() {
    let file = Media::new("application/pdf", b"PDF");
    let message = Message::user(file.clone().detail(MediaDetail::Low));
    assert_refused(
        &config(),
        &ChatRequest::new([message.clone()]),
        &["`detail`"],
    );
    let without = content_of(&config(), Message::user(file)).unwrap();
    assert_eq!(content_of(&lenient(), message).unwrap(), without);
}

#[test]
fn a_part_without_a_form_is_an_error_that_names_it_or_is_left_out_by_option() {
    let data = |kind: &str| Media::new(kind, b"x");
    for (message, words) in [
        (Message::user(data("audio/ogg")), ["`audio/ogg`", "`user`"]),
        (Message::user(data("video/mp4")), ["`video/mp4`", "`user`"]),
        (
            Message::user(Media::link("application/pdf", "https://example.com")),
            ["`application/pdf`", "links"],
        ),
        (
            Message::user(Media::link("image/png", "data:image/png,raw")),
            ["`image/png`", "base64"],
        ),
        (
            Message::assistant(data("audio/wav")),
            ["`audio/wav`", "`assistant`"],
        ),
        (
            Message::assistant(data("video/mp4")),
            ["`video/mp4`", "`assistant`"],
        ),
        (
            Message::system(data("image/png")),
            ["`image/png`", "`system` or `developer`"],
        ),
        (
            Message::tool("1", data("image/png")),
            ["`image/png`", "`tool`"],
        ),
    ] {
        assert_refused(&config(), &ChatRequest::new([message.clone()]), &words);
        assert_eq!(content_of(&lenient(), message).unwrap(), "");
    }
}

#[test]
fn media_of_the_model_go_back_as_they_came_and_sounds_as_their_words() {
    let picture = Media::new("image/png", b"PNG");
    let turn = Content::new()
        .text("Look")
        .media(picture.clone())
        .media(Media::new("audio/wav", b"WAV"));
    let request = ChatRequest::new([Message::assistant(turn)]);
    let sent = body(&config(), &request).unwrap();
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    let images = json!([{"type": "image_url", "image_url": {"url": picture.url}}]);
    assert_eq!(
        sent["messages"][0],
        json!({"role": "assistant", "content": "Look", "images": images})
    );
}

#[test]
fn results_of_tools_have_text_and_by_option_pictures() {
    let result = Content::new().text("a").text("b");
    let message = Message::tool("1", result.clone());
    assert_eq!(content_of(&config(), message).unwrap(), "a\nb");
    let config = OpenAiConfig {
        tool_media: true,
        ..config()
    };
    let message = Message::tool("1", result.media(Media::new("image/png", b"PNG")));
    let content = content_of(&config, message).unwrap();
    assert_eq!(content[2]["type"], "image_url");
}

fn offered(options: ChatOptions) -> ChatRequest {
    let mut request = ChatRequest::from_user("Hi");
    request.tools = vec![ToolDefinition::new("map", "Maps.", json!({}))];
    request.options = options;
    request
}

#[test]
fn options_have_the_names_of_the_server() {
    let schema = json!({"type": "object"});
    let options = ChatOptions::new()
        .temperature(0.5)
        .top_p(0.25)
        .max_output_tokens(7)
        .stop("\n")
        .seed(9)
        .tool_choice(ToolChoice::Tool("map".into()))
        .parallel_tool_calls(false)
        .reasoning_effort(ReasoningEffort::Low)
        .response_format(ResponseFormat::json_schema("answer", schema.clone()))
        .provider_field("top_k", 40);
    let mut with_fields = config();
    for field in ["temperature", "top_k", "user"] {
        with_fields.fields.insert(field.into(), "builder".into());
    }
    let body = encode(&with_fields, &offered(options)).unwrap();
    for (name, value) in [
        ("temperature", json!(0.5)),
        ("top_p", json!(0.25)),
        ("max_tokens", json!(7)),
        ("stop", json!(["\n"])),
        ("seed", json!(9)),
        (
            "tool_choice",
            json!({"type": "function", "function": {"name": "map"}}),
        ),
        ("parallel_tool_calls", json!(false)),
        ("reasoning_effort", json!("low")),
        (
            "response_format",
            json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}),
        ),
        ("top_k", json!(40)),
        ("user", json!("builder")),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    let none = encode(&config(), &offered(ChatOptions::new())).unwrap();
    let mut names: Vec<_> = none.as_object().unwrap().keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["messages", "model", "stream", "tools"]);
}

#[test]
fn an_option_without_a_form_is_an_error_that_names_it_or_is_left_out_by_option() {
    let mut five = ChatOptions::new();
    let mut four = ChatOptions::new();
    for stop in ["a", "b", "c", "d"] {
        five = five.stop(stop);
        four = four.stop(stop);
    }
    let five = offered(five.stop("e"));
    let body = encode(&config(), &offered(four)).unwrap();
    assert_eq!(body["stop"], json!(["a", "b", "c", "d"]));
    assert_refused(&config(), &five, &["`stop`", "4"]);
    assert_eq!(encode(&lenient(), &five).unwrap().get("stop"), None);

    let mut toolless = offered(ChatOptions::new().tool_choice(ToolChoice::Required));
    toolless.tools.clear();
    assert_refused(&config(), &toolless, &["`toolChoice`"]);
    assert_eq!(
        encode(&lenient(), &toolless).unwrap().get("tool_choice"),
        None
    );
    // These ask for nothing without tools, and servers refuse the fields.
    toolless.options = ChatOptions::new()
        .tool_choice(ToolChoice::None)
        .parallel_tool_calls(true);
    let body = encode(&config(), &toolless).unwrap();
    assert_eq!(body.get("tool_choice"), None);
    assert_eq!(body.get("parallel_tool_calls"), None);
}

#[test]
fn a_provider_field_replaces_none_of_the_providers_own() {
    for name in ["model", "messages", "stream", "stream_options", "tools"] {
        let request = offered(ChatOptions::new().provider_field(name, "theirs"));
        assert_refused(&config(), &request, &[&format!("`providerFields.{name}`")]);
        let body = encode(&lenient(), &request).unwrap();
        assert_ne!(body.get(name), Some(&json!("theirs")));
    }
    let both = ChatOptions::new()
        .temperature(0.5)
        .provider_field("temperature", 9);
    assert_eq!(
        encode(&config(), &offered(both)).unwrap()["temperature"],
        0.5
    );
}

#[test]
fn reasoning_is_sent_back_as_text_where_the_option_says_so() {
    let call = ToolCall::new("1", "map", json!({}));
    let hm = || {
        Content::new()
            .reasoning(Reasoning::new("Hm."))
            .text("Hello")
    };
    let request = ChatRequest::new([
        Message::user("Hi"),
        Message::assistant(hm()),
        Message::assistant(hm()).tool_calls([call.clone()]),
        Message::assistant("").tool_calls([call]),
        Message::assistant("Done"),
    ]);
    let sent = |history, field: &str| {
        let config = OpenAiConfig {
            reasoning_history: history,
            reasoning_field: field.into(),
            ..config()
        };
        let body = encode(&config, &request).unwrap();
        let messages = body["messages"].as_array().unwrap();
        let sent: Vec<_> = messages.iter().map(|it| it.get(field).cloned()).collect();
        sent
    };
    let field = "reasoning_content";
    let (hm, empty) = (Some(json!("Hm.")), Some(json!("")));
    assert_eq!(
        sent(ReasoningHistory::LeaveOut, field),
        [None, None, None, None, None]
    );
    let with_calls = [None, None, hm.clone(), empty.clone(), None];
    assert_eq!(sent(ReasoningHistory::WithCalls, field), with_calls);
    let all = [None, hm.clone(), hm, empty, None];
    assert_eq!(sent(ReasoningHistory::All, field), all);
    assert_eq!(sent(ReasoningHistory::All, "reasoning"), all);
}

#[test]
fn what_the_server_must_be_handed_back_is_and_what_is_anothers_is_not() {
    let state = |provider: &str, data: Value| ProviderState::new(provider, data);
    let (first, second) = (
        json!({"type": "reasoning.text", "text": "Hm."}),
        json!({"data": "e"}),
    );
    let extra = json!({"google": {"thought_signature": "s"}});
    let details = |detail: &Value| json!({"reasoning_details": [detail], "role": "system"});
    let mut call = ToolCall::new("1", "map", json!({}));
    call.provider_state = Some(state("openai", json!({"extra_content": extra, "id": "x"})));
    let content = Content::new()
        .reasoning(Reasoning::new("Hm.").provider_state(state("openai", details(&first))))
        .text("Hello")
        .reasoning(Reasoning::default().provider_state(state("openai", details(&second))))
        .reasoning(Reasoning::default().provider_state(state("anthropic", details(&json!(1)))));
    let turn = Message::assistant(content).tool_calls([call.clone()]);
    let body = encode(&config(), &ChatRequest::new([turn])).unwrap();
    let message = &body["messages"][0];
    assert_eq!(message["reasoning_details"], json!([first, second]));
    assert_eq!(message["role"], "assistant");
    assert_eq!(message["content"], "Hello");
    assert_eq!(message["tool_calls"][0]["extra_content"], extra);
    assert_eq!(message["tool_calls"][0]["id"], "1");

    call.provider_state = Some(state("google", json!({"extra_content": extra})));
    let signed = state("openai", json!({"extra_content": extra}));
    let content = Content::new()
        .text("Hello")
        .reasoning(Reasoning::default().provider_state(signed));
    let turn = Message::assistant(content).tool_calls([call]);
    let body = encode(&config(), &ChatRequest::new([turn])).unwrap();
    assert_eq!(body["messages"][0]["extra_content"], extra);
    assert_eq!(
        body["messages"][0]["tool_calls"][0].get("extra_content"),
        None
    );
}
