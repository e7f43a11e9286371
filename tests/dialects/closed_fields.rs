//! Refusals of closed fields name these in the words of the client's protocol. A value that asks for nothing
//! is no choice.

use axum::body::{Body, to_bytes};
use futures_util::stream;
use http::{Request, StatusCode, header::CONTENT_TYPE, request::Parts};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_layer::Layer;
use unbroken::{
    access::OnlyTheOwner,
    chat::{ChatEvent, ChatOptions, ChatRequest, ProviderError, ToolChoice, provider_fn},
    dialect::{AgUi, AiSdk, DurableStreams, OpenAiResponses},
    durable::{ClientFields, DurableLayer},
    log::Owner,
    session::Sessions,
};

const PNG: &str = "data:image/png;base64,AAAA";
const PDF: &str = "data:application/pdf;base64,AAAA";

/// A protocol, and the form of its requests.
#[derive(Clone, Copy)]
pub(super) struct Client {
    speaks: fn(DurableLayer) -> DurableLayer,
    path: &'static str,
    /// The body of a request with one part.
    body: fn(Value) -> Value,
    text: &'static str,
}

const fn of_content(speaks: fn(DurableLayer) -> DurableLayer) -> Client {
    Client {
        speaks,
        path: "/",
        body: |part| json!({"messages": [{"role": "user", "content": [part]}]}),
        text: "text",
    }
}

const fn of_ui_messages(speaks: fn(DurableLayer) -> DurableLayer) -> Client {
    Client {
        speaks,
        path: "/",
        body: |part| {
            let message = json!({"id": "m1", "role": "user", "parts": [part]});
            json!({"id": "chat-1", "messages": [message]})
        },
        text: "text",
    }
}

pub(super) const NATIVE: Client = of_content(|layer| layer);
pub(super) const STREAMS: Client = of_content(|layer| layer.dialect(DurableStreams::new()));
pub(super) const AG_UI: Client = of_content(|layer| layer.dialect(AgUi::new()));
pub(super) const AI_SDK: Client = of_ui_messages(|layer| layer.dialect(AiSdk::new()));
pub(super) const AI_SDK_STREAMS: Client =
    of_ui_messages(|layer| layer.dialect(DurableStreams::ui_messages(AiSdk::new())));
pub(super) const RESPONSES: Client = Client {
    speaks: |layer| layer.dialect(OpenAiResponses::new().model("assistant")),
    path: "/responses",
    body: |part| json!({"input": [{"role": "user", "content": [part]}]}),
    text: "input_text",
};

pub(super) type Change = fn(DurableLayer) -> DurableLayer;

impl Client {
    /// Posts a request with a part, and further fields. Returns the options that reach the provider, or
    /// the text of the refusal.
    async fn sends(
        self,
        part: Value,
        fields: Value,
        change: Change,
    ) -> Result<ChatOptions, String> {
        let mut body = (self.body)(part);
        let Value::Object(fields) = fields else {
            panic!("fields of a body")
        };
        body.as_object_mut().unwrap().extend(fields);
        let (seen, mut reached) = tokio::sync::mpsc::unbounded_channel();

        let provider = provider_fn(move |request: ChatRequest| {
            seen.send(request.options).unwrap();
            stream::iter([Ok::<_, ProviderError>(ChatEvent::complete())])
        });
        let ann = |_: &mut Parts| Some(Owner::new("ann"));
        let layer = DurableLayer::new(Sessions::in_memory(), OnlyTheOwner::new(ann));
        let chat = change((self.speaks)(layer)).layer(provider);
        let request = Request::post(self.path).header(CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = chat.oneshot(request).await.unwrap();
        let status = response.status();
        if status.is_success() {
            return Ok(reached.recv().await.unwrap());
        }
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
        Err(String::from_utf8(bytes.unwrap().to_vec()).unwrap())
    }

    pub(super) async fn asks(self, fields: Value, change: Change) -> Result<ChatOptions, String> {
        let text = json!({"type": self.text, "text": "Hi"});
        self.sends(text, fields, change).await
    }
}

pub(super) const CLOSED: Change = |layer| layer;

#[tokio::test]
async fn closed_media_are_refused_by_the_type_of_part_that_the_client_sent() {
    let media =
        |media_type: &str, url: &str| json!({"type": "media", "mediaType": media_type, "url": url});
    let file =
        |media_type: &str, url: &str| json!({"type": "file", "mediaType": media_type, "url": url});
    let source = |kind: &str, mime_type: &str| json!({"type": kind, "source": {"type": "data", "mimeType": mime_type, "value": "AAAA"}});
    for (client, part, word) in [
        (NATIVE, media("image/png", PNG), "media"),
        (STREAMS, media("image/png", PNG), "media"),
        (AG_UI, source("image", "image/png"), "image"),
        (AG_UI, source("audio", "audio/mpeg"), "audio"),
        (AG_UI, source("video", "video/mp4"), "video"),
        (AG_UI, source("document", "application/pdf"), "document"),
        (
            RESPONSES,
            json!({"type": "input_image", "image_url": PNG}),
            "input_image",
        ),
        (
            RESPONSES,
            json!({"type": "input_file", "file_data": PDF}),
            "input_file",
        ),
        (
            RESPONSES,
            json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}),
            "input_audio",
        ),
        (AI_SDK, file("image/png", PNG), "file"),
        (AI_SDK, file("application/pdf", PDF), "file"),
        (AI_SDK_STREAMS, file("image/png", PNG), "file"),
    ] {
        let refused = client.sends(part, json!({}), CLOSED).await.unwrap_err();
        let told = format!("parts of the type `{word}` are not open");
        assert!(refused.contains(&told), "{word}: {refused}");
    }
}

#[tokio::test]
async fn closed_options_are_refused_by_the_names_that_the_client_has_for_them() {
    let props = |name: &str, value: Value| json!({"forwardedProps": {name: value}});
    let schema = json!({"type": "json_schema", "name": "a", "schema": {}});
    for (client, fields, word) in [
        (NATIVE, json!({"options": {"topP": 0.5}}), "options.topP"),
        (STREAMS, json!({"options": {"topP": 0.5}}), "options.topP"),
        (AG_UI, props("model", json!("m")), "forwardedProps.model"),
        (
            AG_UI,
            props("temperature", json!(1)),
            "forwardedProps.temperature",
        ),
        (AG_UI, props("topP", json!(0.5)), "forwardedProps.topP"),
        (
            AG_UI,
            props("maxTokens", json!(9)),
            "forwardedProps.maxTokens",
        ),
        (AG_UI, props("stop", json!("\n")), "forwardedProps.stop"),
        (AG_UI, props("seed", json!(7)), "forwardedProps.seed"),
        (
            AG_UI,
            props("toolChoice", json!("required")),
            "forwardedProps.toolChoice",
        ),
        (
            AG_UI,
            props("parallelToolCalls", json!(false)),
            "forwardedProps.parallelToolCalls",
        ),
        (
            AG_UI,
            props("reasoning", json!({"effort": "low"})),
            "forwardedProps.reasoning",
        ),
        (
            AG_UI,
            props("responseFormat", schema.clone()),
            "forwardedProps.responseFormat",
        ),
        (
            RESPONSES,
            json!({"instructions": "Be rude."}),
            "instructions",
        ),
        (RESPONSES, json!({"top_p": 0.5}), "top_p"),
        (RESPONSES, json!({"tool_choice": "required"}), "tool_choice"),
        (
            RESPONSES,
            json!({"parallel_tool_calls": false}),
            "parallel_tool_calls",
        ),
        (
            RESPONSES,
            json!({"text": {"format": schema}}),
            "text.format",
        ),
        (AI_SDK, json!({"stopSequences": ["."]}), "stopSequences"),
        (AI_SDK, json!({"toolChoice": "required"}), "toolChoice"),
        (
            AI_SDK_STREAMS,
            json!({"stopSequences": ["."]}),
            "stopSequences",
        ),
    ] {
        let refused = client.asks(fields, CLOSED).await.unwrap_err();
        let told = format!("`{word}` is not open to clients");
        assert!(refused.contains(&told), "{refused}");
    }
}

/// Settings without an option of their own are fields of the request to the model's server.
#[tokio::test]
async fn settings_of_sampling_are_refused_or_reach_the_model_by_name() {
    const OPEN: Change = |layer| {
        let fields = ClientFields::nothing().provider_field("top_k");
        layer.client_fields(fields.provider_field("frequency_penalty"))
    };
    for (client, fields, words) in [
        (
            NATIVE,
            json!({"options": {"providerFields": {"top_k": 40, "frequency_penalty": 0.5}}}),
            [
                "options.providerFields.frequency_penalty",
                "options.providerFields.top_k",
            ],
        ),
        (
            AI_SDK,
            json!({"topK": 40, "frequencyPenalty": 0.5, "presencePenalty": null}),
            ["frequencyPenalty", "topK"],
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"topK": 40, "modelOptions": {"frequency_penalty": 0.5}}}),
            ["forwardedProps.frequencyPenalty", "forwardedProps.topK"],
        ),
        (
            RESPONSES,
            json!({"top_k": 40, "frequency_penalty": 0.5}),
            ["frequency_penalty", "top_k"],
        ),
    ] {
        let refused = client.asks(fields.clone(), CLOSED).await.unwrap_err();
        // The first of them, in the order of the JSON object.
        let told = |word: &&str| refused.contains(&format!("`{word}` is not open to clients"));
        assert_eq!(
            words.iter().filter(|word| told(word)).count(),
            1,
            "{refused}"
        );
        assert!(
            refused.contains("ClientFields::provider_field"),
            "{refused}"
        );
        let one: Change = |layer| {
            layer.client_fields(ClientFields::nothing().provider_field("frequency_penalty"))
        };
        let refused = client.asks(fields.clone(), one).await.unwrap_err();
        assert!(
            refused.contains(&format!("`{}` is not", words[1])),
            "{refused}"
        );
        let options = client.asks(fields, OPEN).await.unwrap();
        let sent = serde_json::to_value(&options.provider_fields).unwrap();
        assert_eq!(sent, json!({"top_k": 40, "frequency_penalty": 0.5}));
    }
}

#[tokio::test]
async fn tools_that_are_nested_too_deep_are_refused_by_the_names_that_the_client_has_for_them() {
    let opened: Change =
        |layer| layer.client_fields(ClientFields::nothing().client_tools(2, 10_000));
    let deep = (0..70).fold(json!({}), |inner, _| json!({ "not": inner }));
    let tool = json!([{"type": "function", "name": "map", "description": "", "parameters": deep}]);
    for (client, fields, word) in [
        (
            NATIVE,
            json!({"isomorphicTools": tool}),
            "`isomorphicTools[0].parameters`",
        ),
        (
            AI_SDK,
            json!({"isomorphicTools": tool}),
            "`isomorphicTools[0].parameters`",
        ),
        (AG_UI, json!({"tools": tool}), "`tools[0].parameters`"),
        (RESPONSES, json!({"tools": tool}), "`tools[0].parameters`"),
    ] {
        let refused = client.asks(fields, opened).await.unwrap_err();
        assert!(
            refused.contains(word) && refused.contains("nested deeper"),
            "{refused}"
        );
    }
}

/// An object whose first name is this is JSON in a string to a decoder: lists in lists, past each limit.
#[tokio::test]
async fn a_name_that_a_decoder_takes_for_its_own_is_refused_wherever_it_stands() {
    const NAME: &str = "$serde_json::private::RawValue";
    let opened: Change = |layer| {
        let fields = ClientFields::nothing().client_tools(2, 10_000);
        layer.client_fields(fields.field("x"))
    };
    let mut nested = json!("[]");
    for _ in 0..300 {
        let lists = "[".repeat(80);
        let text = format!("{lists}{}{}", json!({ NAME: nested }), "]".repeat(80));
        nested = Value::from(text);
        if nested.to_string().len() > 100_000 {
            break;
        }
    }
    let hidden = json!({ NAME: nested });
    let tool = json!([{"type": "function", "name": "map", "parameters": {"a": 1, NAME: "x"}}]);
    for (client, fields) in [
        (NATIVE, json!({"x": hidden})),
        (NATIVE, json!({"unknown": {"a": [hidden]}})),
        (NATIVE, json!({"isomorphicTools": tool})),
        (STREAMS, json!({"x": hidden})),
        (AG_UI, json!({"forwardedProps": hidden})),
        (AG_UI, json!({"tools": tool})),
        (AI_SDK, json!({"x": hidden})),
        (AI_SDK_STREAMS, json!({"x": hidden})),
        (RESPONSES, json!({"metadata": {"a": "b", NAME: "x"}})),
        (RESPONSES, json!({"tools": tool})),
    ] {
        let refused = client.asks(fields, opened).await.unwrap_err();
        assert!(refused.contains("whose name begins with"), "{refused}");
    }
    // Not a name.
    let said = NATIVE.asks(json!({"x": [NAME]}), opened).await;
    assert_eq!(said, Ok(ChatOptions::new()));
}

#[tokio::test]
async fn options_out_of_their_range_are_refused_by_the_names_that_the_client_has_for_them() {
    let opened: Change = |layer| {
        let fields = ClientFields::nothing().temperature(0.0..=1.0);
        layer.client_fields(fields.max_output_tokens(10).response_format(99))
    };
    let bad_name = json!({"type": "json_schema", "name": "a b", "schema": {}});
    for (client, fields, word) in [
        (
            AG_UI,
            json!({"forwardedProps": {"temperature": 1.5}}),
            "`forwardedProps.temperature` must be 0 to 1 ",
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"temperature": 3}}),
            "`forwardedProps.temperature` must be 0 to 2",
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"modelOptions": {"max_tokens": 0}}}),
            "`forwardedProps.modelOptions.max_tokens` must be 1 or more",
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"responseFormat": bad_name}}),
            "`forwardedProps.responseFormat.name` must be 1 to 64 of",
        ),
        (
            RESPONSES,
            json!({"max_output_tokens": 11}),
            "`max_output_tokens` must be 1 to 10 ",
        ),
        (
            AI_SDK_STREAMS,
            json!({"maxOutputTokens": 11}),
            "`maxOutputTokens` must be 1 to 10 ",
        ),
    ] {
        let refused = client.asks(fields, opened).await.unwrap_err();
        assert!(refused.contains(word), "{refused}");
        assert!(!refused.contains("`options."), "{refused}");
    }
}

/// Requests that say what each protocol has without saying it: what its own SDK sends, and more.
fn asking_nothing() -> Vec<(Client, Value)> {
    let native = json!({
        "model": null, "systemPrompt": null, "isomorphicTools": [], "isomorphicClientOutputs": null,
        "options": {
            "temperature": null, "topP": null, "maxOutputTokens": null, "stop": null, "seed": null,
            "toolChoice": "auto", "parallelToolCalls": true, "reasoning": {},
            "responseFormat": {"type": "text"}, "providerFields": null,
        },
    });
    let nulls = json!({"options": null, "isomorphicTools": null, "isomorphicClientOutputs": []});
    // `prepareRunAgentInput` of `@ag-ui/client` sends the first four.
    let ag_ui = json!({
        "state": {}, "tools": [], "context": [], "forwardedProps": {}, "resume": null,
        "parentRunId": null,
    });
    let props = json!({"tools": null, "forwardedProps": {
        "model": null, "temperature": null, "toolChoice": "auto", "parallelToolCalls": true,
        "stop": [], "reasoning": {}, "responseFormat": {"type": "text"},
        "modelOptions": {"tool_choice": "auto", "seed": null, "top_k": null},
    }});
    let responses = json!({
        "model": "assistant", "stream": false, "background": false, "store": true, "tools": [],
        "instructions": null, "previous_response_id": null, "conversation": null, "prompt": null,
        "tool_choice": "auto", "parallel_tool_calls": true, "truncation": "disabled",
        "text": {"format": {"type": "text"}, "verbosity": "medium"}, "service_tier": "auto",
        "reasoning": {"effort": null, "summary": null}, "metadata": {}, "include": [],
        "temperature": null, "top_p": null, "max_output_tokens": null, "max_tool_calls": null,
        "top_logprobs": 0, "stream_options": null,
    });
    let nulls_of_responses = json!({
        "model": null, "stream": null, "background": null, "store": null, "tools": null,
        "tool_choice": null, "parallel_tool_calls": null, "truncation": null, "text": null,
        "service_tier": null, "reasoning": null, "metadata": null, "include": null,
    });
    let sdk = json!({
        "trigger": "submit-message", "messageId": null, "toolChoice": "auto", "stopSequences": [],
        "responseFormat": {"type": "text"}, "reasoning": "provider-default", "temperature": null,
        "options": {"parallelToolCalls": true},
    });
    vec![
        (NATIVE, native.clone()),
        (NATIVE, nulls),
        (STREAMS, native),
        (AG_UI, ag_ui),
        (AG_UI, props),
        (RESPONSES, responses),
        (RESPONSES, nulls_of_responses),
        (AI_SDK, sdk.clone()),
        (AI_SDK_STREAMS, sdk),
    ]
}

#[tokio::test]
async fn what_asks_for_nothing_is_accepted_where_everything_is_closed() {
    for (client, fields) in asking_nothing() {
        let asked = client.asks(fields.clone(), CLOSED).await;
        assert_eq!(asked, Ok(ChatOptions::new()), "{fields}");
    }
}

#[tokio::test]
async fn what_asks_for_nothing_leaves_the_applications_own_choice() {
    let own = || ChatOptions::new().tool_choice(ToolChoice::Required);
    for (client, fields) in asking_nothing() {
        let chosen: Change =
            |layer| layer.options(ChatOptions::new().tool_choice(ToolChoice::Required));
        let asked = client.asks(fields.clone(), chosen).await;
        assert_eq!(asked, Ok(own()), "{fields}");
    }
}

#[tokio::test]
async fn a_choice_that_is_open_counts_also_where_it_is_the_default() {
    let opened: Change = |layer| {
        let required = ChatOptions::new().tool_choice(ToolChoice::Required);
        let fields = ClientFields::nothing().tool_choice();
        layer.options(required).client_fields(fields)
    };
    for (client, fields) in [
        (NATIVE, json!({"options": {"toolChoice": "auto"}})),
        (AG_UI, json!({"forwardedProps": {"toolChoice": "auto"}})),
        (RESPONSES, json!({"tool_choice": "auto"})),
        (AI_SDK, json!({"toolChoice": "auto"})),
    ] {
        let asked = client.asks(fields.clone(), opened).await.unwrap();
        assert_eq!(asked.tool_choice, Some(ToolChoice::Auto), "{fields}");
    }
}
