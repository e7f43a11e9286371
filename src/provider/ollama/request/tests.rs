use super::*;
use crate::{
    chat::{
        ChatOptions, Content, Media, MediaDetail, Reasoning, ReasoningEffort, ResponseFormat,
        ToolChoice, ToolDefinition,
    },
    provider::http::Unsupported,
};

fn config() -> OllamaConfig {
    OllamaConfig {
        model: "m".into(),
        fields: Map::new(),
        options: Map::new(),
        unsupported: Unsupported::Refuse,
        think_tags: false,
        continues: true,
        max_event_bytes: 1024,
    }
}

fn lenient() -> OllamaConfig {
    OllamaConfig {
        unsupported: Unsupported::LeaveOut,
        ..config()
    }
}

fn encode(config: &OllamaConfig, request: &ChatRequest) -> Result<Value, ProviderError> {
    Ok(serde_json::from_slice(&body(config, request)?).unwrap())
}

fn offered(options: ChatOptions) -> ChatRequest {
    let mut request = ChatRequest::from_user("Hi");
    request.tools = vec![ToolDefinition::new("map", "Maps.", json!({}))];
    request.options = options;
    request
}

fn assert_refused(request: &ChatRequest, words: &[&str]) {
    let error = body(&config(), request).unwrap_err();
    assert!(!error.is_recoverable());
    for word in words {
        assert!(error.message().contains(word), "{word}: {error}");
    }
}

#[test]
fn pictures_stand_beside_the_text_of_users_and_tools() {
    let picture = || {
        Content::new()
            .text("a")
            .media(Media::new("image/png", b"PNG"))
            .text("b")
    };
    for message in [Message::user(picture()), Message::tool("1", picture())] {
        let body = encode(&config(), &ChatRequest::new([message])).unwrap();
        assert_eq!(body["messages"][0]["content"], "a\nb");
        assert_eq!(body["messages"][0]["images"], json!(["UE5H"]));
    }
    let body = encode(&config(), &ChatRequest::from_user("Hi")).unwrap();
    assert_eq!(
        body["messages"][0],
        json!({"role": "user", "content": "Hi"})
    );
}

#[test]
fn the_detail_of_a_picture_is_an_error_or_is_left_out_by_option() {
    let picture = Media::new("image/png", b"PNG").detail(MediaDetail::Low);
    let request = ChatRequest::from_user(picture);
    assert_refused(&request, &["`detail`", "leave it out"]);
    let body = encode(&lenient(), &request).unwrap();
    assert_eq!(body["messages"][0]["images"], json!(["UE5H"]));
}

#[test]
fn a_part_without_a_form_is_an_error_that_names_it_or_is_left_out_by_option() {
    for (media, words) in [
        (Media::new("audio/wav", b"x"), ["`audio/wav`", "`user`"]),
        (
            Media::new("application/pdf", b"x"),
            ["`application/pdf`", "`user`"],
        ),
        (
            Media::link("image/png", "https://example.com"),
            ["`image/png`", "links"],
        ),
        (
            Media::link("image/png", "data:image/png,raw"),
            ["`image/png`", "base64"],
        ),
    ] {
        let request = ChatRequest::from_user(media);
        assert_refused(&request, &words);
        let body = encode(&lenient(), &request).unwrap();
        assert_eq!(body["messages"][0], json!({"role": "user", "content": ""}));
    }
}

#[test]
fn reasoning_of_the_model_is_sent_back() {
    let turn = Content::new()
        .reasoning(Reasoning::new("Hm."))
        .text("Hello");
    let body = encode(&config(), &ChatRequest::new([Message::assistant(turn)])).unwrap();
    let expected = json!({"role": "assistant", "content": "Hello", "thinking": "Hm."});
    assert_eq!(body["messages"][0], expected);
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
        .tool_choice(ToolChoice::Auto)
        .parallel_tool_calls(true)
        .reasoning_effort(ReasoningEffort::Low)
        .response_format(ResponseFormat::json_schema("answer", schema.clone()))
        .provider_field("keep_alive", "1m");
    let mut with_options = config();
    for (name, value) in [("temperature", json!(9)), ("num_ctx", json!(4096))] {
        with_options.options.insert(name.into(), value);
    }
    let body = encode(&with_options, &offered(options)).unwrap();
    let expected = json!({
        "temperature": 0.5, "top_p": 0.25, "num_predict": 7, "stop": ["\n"], "seed": 9, "num_ctx": 4096,
    });
    assert_eq!(body["options"], expected);
    assert_eq!(body["format"], schema);
    assert_eq!(body["think"], "low");
    assert_eq!(body["keep_alive"], "1m");
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    let json = ChatOptions::new()
        .response_format(ResponseFormat::JsonObject)
        .reasoning_effort(ReasoningEffort::None)
        .tool_choice(ToolChoice::None);
    let body = encode(&config(), &offered(json)).unwrap();
    assert_eq!(body["format"], "json");
    assert_eq!(body["think"], false);
    assert_eq!(body.get("tools"), None, "what isn't offered isn't called");
}

#[test]
fn an_option_without_a_form_is_an_error_that_names_it_or_is_left_out_by_option() {
    let options = ChatOptions::new;
    for (options, name) in [
        (options().tool_choice(ToolChoice::Required), "toolChoice"),
        (
            options().tool_choice(ToolChoice::Tool("map".into())),
            "toolChoice",
        ),
        (options().parallel_tool_calls(false), "parallelToolCalls"),
        (
            options().reasoning_effort(ReasoningEffort::Minimal),
            "reasoning",
        ),
        (
            options().reasoning_effort(ReasoningEffort::Xhigh),
            "reasoning",
        ),
        (
            options().provider_field("options", 1),
            "providerFields.options",
        ),
        (
            options().provider_field("model", "theirs"),
            "providerFields.model",
        ),
        (
            options().provider_field("stream", false),
            "providerFields.stream",
        ),
    ] {
        let request = offered(options);
        assert_refused(&request, &[&format!("`{name}`")]);
        let plain = encode(&config(), &offered(ChatOptions::new())).unwrap();
        assert_eq!(encode(&lenient(), &request).unwrap(), plain, "{name}");
    }
}

#[test]
fn fields_that_are_none_of_a_request_are_options_of_the_model() {
    let options = ChatOptions::new()
        .temperature(0.5)
        .provider_field("top_k", 40)
        .provider_field("frequency_penalty", 0.5)
        .provider_field("mirostat", 2)
        .provider_field("num_ctx", 4096)
        .provider_field("temperature", 9)
        .provider_field("num_predict", 9)
        .max_output_tokens(7)
        .provider_field("logprobs", true)
        .provider_field("keep_alive", 0);
    let mut with_options = config();
    with_options.options.insert("num_ctx".into(), 1.into());
    with_options.options.insert("num_gpu".into(), 1.into());
    let body = encode(&with_options, &offered(options)).unwrap();
    assert_eq!(
        body["options"],
        json!({
            "temperature": 0.5, "top_k": 40, "frequency_penalty": 0.5, "mirostat": 2, "num_ctx": 4096,
            "num_gpu": 1, "num_predict": 7,
        })
    );
    assert_eq!(body["logprobs"], true);
    assert_eq!(body["keep_alive"], 0);
    for name in ["top_k", "mirostat", "num_ctx", "temperature", "num_predict"] {
        assert!(body.get(name).is_none(), "{name}");
    }
}
