//! What is sent, and what is refused.

use serde_json::{Value, json};
use unbroken::chat::{
    ChatOptions, ChatRequest, Content, Media, MediaDetail, Message, ProviderState, Reasoning,
    ReasoningEffort, ResponseFormat, ToolCall, ToolChoice, ToolDefinition,
};

use crate::{
    claude::{self, CLAUDE},
    gemini::{self, GEMINI},
    responses::{self, GPT_5},
    stub::{Reply, Stub, answer, frames},
};

pub(crate) const GPT: &str = "gpt-4o-mini";

pub(crate) fn reply(model: &str) -> Reply {
    Reply::Stream(match model {
        model if model.starts_with("gemini-") => {
            frames(&[gemini::last(json!([{"text": "Hi."}]), "STOP")])
        }
        GPT => {
            let choice = json!({"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"});
            frames(&[json!({"choices": [choice]})]) + "data: [DONE]\n\n"
        }
        GPT_5 => claude::named(&[responses::created(), responses::completed(json!([]))]),
        model if model.starts_with("ollama::") => {
            json!({"message": {"content": "Hi."}, "done": true, "done_reason": "stop"}).to_string()
        }
        _ => claude::message([claude::text(0, &["Hi."])], "end_turn"),
    })
}

/// Returns the body that a request becomes, or the error that refuses it.
pub(crate) async fn sent(model: &str, request: &ChatRequest) -> Result<Value, String> {
    let stub = Stub::new([reply(model)]).await;
    let (_, error) = answer(stub.provider(model), request.clone()).await;
    match error {
        Some(error) => {
            assert_eq!(stub.asked().len(), 0, "a refused request isn't sent");
            assert!(!error.is_recoverable(), "{error}");
            Err(error.to_string())
        }
        None => Ok(stub.asked()[0].body.clone()),
    }
}

pub(crate) fn with(options: ChatOptions) -> ChatRequest {
    let mut request = ChatRequest::from_user("Hi");
    request.options = options;
    request.tools = vec![ToolDefinition::new("now", "Tells the time.", Value::Null)];
    request
}

#[tokio::test]
async fn a_partial_answer_is_continued_where_the_application_says_that_the_model_can() {
    let mut request = ChatRequest::from_user("Hi");
    request.messages.push(Message::assistant("Hel"));
    request.so_far = Some(std::sync::Arc::new(
        [unbroken::chat::ChatEvent::text("Hel")].iter().collect(),
    ));
    let stub = Stub::new([reply(CLAUDE)]).await;
    let (_, error) = answer(stub.provider(CLAUDE), request.clone()).await;
    assert!(error.unwrap().is_cannot_continue());
    assert_eq!(stub.asked().len(), 0);
    let (_, error) = answer(stub.provider(CLAUDE).prefill(true), request).await;
    assert!(error.is_none(), "{error:?}");
    let asked = stub.asked();
    let last = asked[0].body["messages"]
        .as_array()
        .unwrap()
        .last()
        .unwrap();
    assert_eq!(last["role"], "assistant");
}

#[tokio::test]
async fn options_are_sent_in_the_words_of_each_server() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
                        "additionalProperties": false});
    let options = ChatOptions::new()
        .temperature(0.5)
        .top_p(0.9)
        .max_output_tokens(100)
        .stop("END")
        .tool_choice(ToolChoice::Tool("now".into()))
        .response_format(ResponseFormat::json_schema("answer", schema.clone()));
    let body = sent(
        CLAUDE,
        &with(
            options
                .clone()
                .provider_field("metadata", json!({"user_id": "u"})),
        ),
    )
    .await;
    let body = body.unwrap();
    assert_eq!(body["temperature"], 0.5);
    assert_eq!(body["top_p"], 0.9);
    assert_eq!(body["max_tokens"], 100);
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert_eq!(body["tool_choice"], json!({"type": "tool", "name": "now"}));
    assert_eq!(
        body["output_config"]["format"]["schema"]["required"],
        json!(["a"])
    );
    assert_eq!(body["metadata"]["user_id"], "u");
    assert_eq!(body["tools"][0]["input_schema"]["type"], "object");

    let options = options.seed(7);
    let body = sent(
        GEMINI,
        &with(options.clone().reasoning_effort(ReasoningEffort::Low)),
    )
    .await
    .unwrap();
    let config = &body["generationConfig"];
    assert_eq!(config["temperature"], 0.5);
    assert_eq!(config["maxOutputTokens"], 100);
    assert_eq!(config["stopSequences"], json!(["END"]));
    assert_eq!(config["seed"], 7);
    assert_eq!(config["responseJsonSchema"], schema);
    assert_eq!(config["thinkingConfig"]["includeThoughts"], true);
    let calling = &body["toolConfig"]["functionCallingConfig"];
    assert_eq!(calling["allowedFunctionNames"], json!(["now"]));

    let body = sent(GPT, &with(options.parallel_tool_calls(false)))
        .await
        .unwrap();
    assert_eq!(body["seed"], 7);
    assert_eq!(body["stop"], json!(["END"]));
    assert_eq!(body["parallel_tool_calls"], false);
    assert_eq!(
        body["response_format"]["json_schema"]["schema"]["required"],
        json!(["a"])
    );
    assert_eq!(body["tool_choice"]["function"]["name"], "now");

    let one = with(ChatOptions::new().parallel_tool_calls(false));
    let body = sent(CLAUDE, &one).await.unwrap();
    assert_eq!(
        body["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
}

#[tokio::test]
async fn an_option_without_a_form_is_refused_by_name_and_left_out_by_a_lenient_provider() {
    let none = ChatOptions::new;
    let effort = |effort| none().reasoning_effort(effort);
    for (model, options, name) in [
        (CLAUDE, none().seed(7), "seed"),
        (GPT, none().seed(-7), "seed"),
        (
            CLAUDE,
            none().response_format(ResponseFormat::JsonObject),
            "responseFormat",
        ),
        (
            GEMINI,
            none().response_format(ResponseFormat::JsonObject),
            "responseFormat",
        ),
        (
            GEMINI,
            none().parallel_tool_calls(false),
            "parallelToolCalls",
        ),
        (CLAUDE, effort(ReasoningEffort::Minimal), "reasoning.effort"),
        (GEMINI, effort(ReasoningEffort::Xhigh), "reasoning.effort"),
        (
            "gemini-3-pro",
            effort(ReasoningEffort::None),
            "reasoning.effort",
        ),
        (
            GPT,
            none().stop("1").stop("2").stop("3").stop("4").stop("5"),
            "stop",
        ),
        (
            CLAUDE,
            none().provider_field("messages", json!([])),
            "providerFields.messages",
        ),
        (
            GEMINI,
            none().provider_field("contents", json!([])),
            "providerFields.contents",
        ),
        (
            GEMINI,
            none()
                .top_p(0.5)
                .provider_field("generationConfig", json!({})),
            "providerFields.generationConfig",
        ),
        (
            GPT,
            none().seed(1).provider_field("seed", 2),
            "providerFields.seed",
        ),
        (
            "ollama::qwen3",
            none().tool_choice(ToolChoice::Required),
            "toolChoice",
        ),
    ] {
        let request = with(options);
        let error = sent(model, &request).await.unwrap_err();
        assert!(error.contains(&format!("`{name}`")), "{model}: {error}");
        let stub = Stub::new([reply(model)]).await;
        answer(stub.provider(model).lenient(), request).await;
        assert_eq!(stub.asked().len(), 1, "{model} {name}");
    }
    let mut request = with(none().tool_choice(ToolChoice::Required));
    request.tools.clear();
    assert!(
        sent(GPT, &request)
            .await
            .unwrap_err()
            .contains("`toolChoice`")
    );
    // genai would take it for the server's own.
    request.options = none();
    request.tools = vec![ToolDefinition::new("web_search", "Ours.", Value::Null)];
    assert!(
        sent(CLAUDE, &request)
            .await
            .unwrap_err()
            .contains("`web_search`")
    );
    assert_eq!(
        sent(GPT, &request).await.unwrap()["tools"][0]["function"]["name"],
        "web_search"
    );
}

#[tokio::test]
async fn media_are_sent_in_the_form_of_each_server_or_refused() {
    let picture = Media::new("image/png", b"png");
    let link = Media::link("image/png", "https://example.com/a.png");
    let pdf = Media::new("application/pdf", b"pdf").name("a.pdf");
    let note = Media::new("text/plain", "Grüße");
    let sound = Media::new("audio/wav", b"wav");
    let ask =
        |media: &Media| ChatRequest::from_user(Content::new().text("What?").media(media.clone()));
    let base64 =
        |kind: &str, data: &str| json!({"type": "base64", "media_type": kind, "data": data});
    for (model, media, part) in [
        (
            CLAUDE,
            &picture,
            json!({"type": "image", "source": base64("image/png", "cG5n")}),
        ),
        (
            CLAUDE,
            &link,
            json!({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}),
        ),
        (
            CLAUDE,
            &pdf,
            json!({"type": "document", "source": base64("application/pdf", "cGRm"), "title": "a.pdf"}),
        ),
        (
            CLAUDE,
            &note,
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain",
                                                               "data": "Grüße"}}),
        ),
        (
            GEMINI,
            &picture,
            json!({"inline_data": {"mime_type": "image/png", "data": "cG5n"}}),
        ),
        (
            GEMINI,
            &link,
            json!({"file_data": {"mime_type": "image/png", "file_uri": "https://example.com/a.png"}}),
        ),
        (
            GEMINI,
            &sound,
            json!({"inline_data": {"mime_type": "audio/wav", "data": "d2F2"}}),
        ),
        (
            GPT,
            &link,
            json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
        ),
        (
            GPT,
            &sound,
            json!({"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}}),
        ),
    ] {
        let body = sent(model, &ask(media)).await.unwrap();
        let messages = body.get("messages").or(body.get("contents")).unwrap();
        let content = messages[0]
            .get("content")
            .or(messages[0].get("parts"))
            .unwrap();
        assert_eq!(content[1], part, "{model}");
    }
    let link_of_sound = Media::link("audio/wav", "https://example.com/a.wav");
    let film = Media::new("video/mp4", b"mp4");
    for (model, media) in [
        (CLAUDE, &sound),
        (CLAUDE, &film),
        (GPT, &film),
        (GPT, &link_of_sound),
        (GEMINI, &Media::link("image/*", "https://example.com/a")),
        ("ollama::qwen3", &link),
    ] {
        let error = sent(model, &ask(media)).await.unwrap_err();
        assert!(error.contains(&media.media_type), "{model}: {error}");
    }
    for model in [CLAUDE, GEMINI, GPT] {
        let fine = ask(&picture.clone().detail(MediaDetail::High));
        let error = sent(model, &fine).await.unwrap_err();
        assert!(error.contains("`detail`"), "{model}: {error}");
    }
    let mut of_model = ask(&picture);
    of_model
        .messages
        .insert(0, Message::assistant(picture.clone()));
    for model in [CLAUDE, GEMINI, GPT] {
        assert!(
            sent(model, &of_model)
                .await
                .unwrap_err()
                .contains("assistant")
        );
    }
    let call = ToolCall::new("c1", "photo", json!({}));
    let shot = ChatRequest::new([
        Message::user("Shoot."),
        Message::assistant("").tool_calls([call]),
        Message::tool("c1", Content::new().text("Done.").media(picture.clone())),
    ]);
    let body = sent(CLAUDE, &shot).await.unwrap();
    assert_eq!(
        body["messages"][2],
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [
            {"type": "text", "text": "Done."},
            {"type": "image", "source": base64("image/png", "cG5n")},
        ]}]})
    );
    for model in [GEMINI, GPT] {
        assert!(
            sent(model, &shot)
                .await
                .unwrap_err()
                .contains("role `tool`")
        );
    }
}

#[tokio::test]
async fn ids_that_another_vendor_gave_are_sent_in_a_form_that_the_server_takes() {
    let long = "x".repeat(60);
    let ids = ["call#now#1", "call_now_1", &long, "call#now#2"].map(str::to_owned);
    let call = |id: &String| ToolCall::new(id, "now", json!({}));
    let mut messages = vec![Message::user("When?")];
    messages.push(Message::assistant("").tool_calls(ids.iter().map(call)));
    messages.extend(ids.iter().map(|id| Message::tool(id, "noon")));
    let request = ChatRequest::new(messages);
    let words = |list: &Value, pointer: &str| -> Vec<String> {
        let found = list.as_array().unwrap().iter();
        let word = |it: &Value| it.pointer(pointer)?.as_str().map(str::to_owned);
        found.filter_map(word).collect()
    };

    let body = sent(CLAUDE, &request).await.unwrap();
    let messages = &body["messages"];
    let of_claude = words(&messages[1]["content"], "/id");
    assert_eq!(of_claude[1..3], [ids[1].clone(), long.clone()]);
    let results = words(&messages[2]["content"], "/tool_use_id");
    assert_eq!(of_claude, results);

    let body = sent(GPT, &request).await.unwrap();
    let of_gpt = words(&body["messages"][1]["tool_calls"], "/id");
    assert_eq!(of_gpt, words(&body["messages"], "/tool_call_id"));
    assert_eq!(of_gpt[2], "x".repeat(40));

    for (sent, max) in [(of_claude, 64), (of_gpt, 40)] {
        assert_eq!(sent.len(), 4);
        let mut distinct = sent.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 4, "{sent:?}");
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"_-".contains(&it);
        for id in &sent {
            assert!(id.len() <= max && id.bytes().all(is_plain), "{id}");
        }
    }

    // Gemini gets no id that it didn't give.
    let body = sent(GEMINI, &request).await.unwrap();
    let of_gemini = words(&body["contents"][1]["parts"], "/functionCall/id");
    assert_eq!(of_gemini, ids[1..3]);
}

#[tokio::test]
async fn state_of_another_vendor_is_not_sent() {
    let thought = |provider: &str| {
        let data = json!({"signature": "s", "thoughtSignature": "s"});
        Reasoning::new("Hm.").provider_state(ProviderState::new(provider, data))
    };
    let told = |provider: &str| {
        let said = Content::new().reasoning(thought(provider)).text("Hello.");
        ChatRequest::new([
            Message::user("Hi"),
            Message::assistant(said),
            Message::user("And?"),
        ])
    };
    for (model, own, other) in [
        (CLAUDE, "anthropic", "gemini"),
        (GEMINI, "gemini", "anthropic"),
    ] {
        let holds = |body: &Value| body.to_string().contains(r#"ignature":"s""#);
        assert!(holds(&sent(model, &told(own)).await.unwrap()), "{model}");
        let body = sent(model, &told(other)).await.unwrap();
        assert!(!holds(&body), "{model}");
        assert!(body.to_string().contains("Hello."));
    }
}

#[tokio::test]
async fn a_signature_at_the_end_goes_back_in_a_part_of_its_own() {
    let state = ProviderState::new("gemini", json!({"thoughtSignature": "s"}));
    let said = Content::new()
        .text("Hello.")
        .reasoning(Reasoning::default().provider_state(state));
    let request = ChatRequest::new([
        Message::user("Hi"),
        Message::assistant(said),
        Message::user("And?"),
    ]);
    let body = sent(GEMINI, &request).await.unwrap();
    assert_eq!(
        body["contents"][1]["parts"],
        json!([{"text": "Hello."}, {"text": "", "thoughtSignature": "s"}])
    );
}
