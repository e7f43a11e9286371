//! What asks something of the model by a name that nothing reads is refused by that name. The application may open
//! it for the model's server. What stock clients keep for themselves passes.

use serde_json::{Value, json};
use unbroken::{chat::ChatOptions, durable::ClientFields};

use super::closed_fields::{
    AG_UI, AI_SDK, AI_SDK_STREAMS, CLOSED, Change, Client, NATIVE, RESPONSES, STREAMS,
};

const ALL: [Client; 6] = [NATIVE, STREAMS, AG_UI, AI_SDK, AI_SDK_STREAMS, RESPONSES];

async fn refusal(client: Client, fields: &Value, change: Change) -> String {
    let asked = client.asks(fields.clone(), change).await;
    asked.expect_err(&fields.to_string())
}

/// Checks that each request is refused, with the words.
async fn are_refused<const N: usize>(cases: [(Client, Value, [&str; 2]); N]) {
    for (client, fields, words) in cases {
        let refused = refusal(client, &fields, CLOSED).await;
        for word in words {
            assert!(refused.contains(word), "{fields}: {refused}");
        }
    }
}

#[tokio::test]
async fn a_setting_in_a_place_where_it_is_not_read_is_refused_with_the_name_that_is() {
    are_refused([
        (
            NATIVE,
            json!({"temperature": 1}),
            ["`temperature`", "`options.temperature`"],
        ),
        (
            NATIVE,
            json!({"max_tokens": 5}),
            ["`max_tokens`", "`options.maxOutputTokens`"],
        ),
        (
            NATIVE,
            json!({"system": "Be rude."}),
            ["`system`", "`systemPrompt`"],
        ),
        (
            NATIVE,
            json!({"tools": [{"name": "map"}]}),
            ["`tools`", "`isomorphicTools`"],
        ),
        (
            NATIVE,
            json!({"options": {"maxTokens": 5}}),
            ["`options.maxTokens`", "`options.maxOutputTokens`"],
        ),
        (
            NATIVE,
            json!({"options": {"reasoning": {"summary": "auto"}}}),
            ["`options.reasoning.summary`", "`effort`"],
        ),
        (
            STREAMS,
            json!({"options": {"topK": 5}}),
            ["`options.topK`", "`options.providerFields.top_k`"],
        ),
        (
            AI_SDK,
            json!({"maxTokens": 5}),
            ["`maxTokens`", "`maxOutputTokens`"],
        ),
        (
            AI_SDK,
            json!({"max_output_tokens": 5}),
            ["`max_output_tokens`", "`maxOutputTokens`"],
        ),
        (
            AI_SDK,
            json!({"system": "Be rude."}),
            ["`system`", "`systemPrompt`"],
        ),
        (
            AI_SDK,
            json!({"tools": {"map": {}}}),
            ["`tools`", "`isomorphicTools`"],
        ),
        (
            AI_SDK,
            json!({"options": {"temprature": 1}}),
            ["`options.temprature`", "`temperature`"],
        ),
        (
            AI_SDK,
            json!({"responseFormat": {"type": "json", "strict": true}}),
            ["`responseFormat.strict`", "`schema`"],
        ),
        (
            AI_SDK,
            json!({"reasoning": {"budget": 9}}),
            ["`reasoning.budget`", "`effort`"],
        ),
        (
            AI_SDK_STREAMS,
            json!({"providerOptions": {"openai": {"store": false}}}),
            [
                "`providerOptions`",
                "`ClientFields::field(\\\"providerOptions\\\")`",
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_setting_of_another_protocol_is_refused_with_the_name_of_the_own() {
    are_refused([
        (
            AG_UI,
            json!({"temperature": 1}),
            ["`temperature`", "`forwardedProps.temperature`"],
        ),
        (
            AG_UI,
            json!({"context": [{"description": "a", "value": "b"}]}),
            ["`context`", "`ClientFields::field"],
        ),
        (
            AG_UI,
            json!({"resume": [{"interruptId": "a", "status": "resolved"}]}),
            ["`resume`", "`ClientFields::field"],
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"min_p": 0.1}}),
            ["`forwardedProps.min_p`", "`ClientFields::provider_field"],
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"instructions": "Be rude."}}),
            ["`forwardedProps.instructions`", "`messages`"],
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"modelOptions": {"any": 1}}}),
            [
                "`forwardedProps.modelOptions.any`",
                "`ClientFields::provider_field",
            ],
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"reasoning": {"summary": "auto"}}}),
            ["`forwardedProps.reasoning.summary`", "`effort`"],
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"model": 7}}),
            ["`forwardedProps.model`", "string"],
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"modelOptions": 7}}),
            ["`forwardedProps.modelOptions`", "object"],
        ),
        (
            AG_UI,
            json!({"forwardedProps": 7}),
            ["`forwardedProps`", "object"],
        ),
        (
            RESPONSES,
            json!({"max_tokens": 5}),
            ["`max_tokens`", "`max_output_tokens`"],
        ),
        (
            RESPONSES,
            json!({"response_format": {"type": "json_object"}}),
            ["`response_format`", "`text.format`"],
        ),
        (RESPONSES, json!({"seed": 5}), ["`seed`", "no effect"]),
    ])
    .await;
}

#[tokio::test]
async fn a_field_that_is_open_for_the_models_server_reaches_it_from_every_client() {
    let opened: Change =
        |layer| layer.client_fields(ClientFields::nothing().provider_field("min_p"));
    let expected = || ChatOptions::new().provider_field("min_p", 0.1);
    for client in ALL {
        for fields in [json!({"min_p": 0.1}), json!({"minP": 0.1})] {
            let refused = refusal(client, &fields, CLOSED).await;
            assert!(
                refused.contains("ClientFields::provider_field"),
                "{refused}"
            );
            assert_eq!(client.asks(fields, opened).await, Ok(expected()));
        }
    }
    for (client, fields) in [
        (
            NATIVE,
            json!({"options": {"providerFields": {"min_p": 0.1}}}),
        ),
        (
            AI_SDK,
            json!({"options": {"providerFields": {"min_p": 0.1}}}),
        ),
        (AG_UI, json!({"forwardedProps": {"min_p": 0.1}})),
        (
            AG_UI,
            json!({"forwardedProps": {"modelOptions": {"min_p": 0.1}}}),
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"modelOptions": {"minP": 0.1}}}),
        ),
    ] {
        assert_eq!(client.asks(fields, opened).await, Ok(expected()));
    }
}

#[tokio::test]
async fn parallel_tool_calls_are_an_option_of_every_client() {
    let opened: Change = |layer| layer.client_fields(ClientFields::nothing().parallel_tool_calls());
    for (client, fields, name) in [
        (
            NATIVE,
            json!({"options": {"parallelToolCalls": false}}),
            "options.parallelToolCalls",
        ),
        (
            STREAMS,
            json!({"options": {"parallelToolCalls": false}}),
            "options.parallelToolCalls",
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"parallelToolCalls": false}}),
            "forwardedProps.parallelToolCalls",
        ),
        (
            AI_SDK,
            json!({"parallelToolCalls": false}),
            "parallelToolCalls",
        ),
        (
            AI_SDK_STREAMS,
            json!({"options": {"parallelToolCalls": false}}),
            "parallelToolCalls",
        ),
        (
            RESPONSES,
            json!({"parallel_tool_calls": false}),
            "parallel_tool_calls",
        ),
    ] {
        let refused = refusal(client, &fields, CLOSED).await;
        for word in [name, "ClientFields::parallel_tool_calls"] {
            assert!(refused.contains(word), "{refused}");
        }
        let expected = ChatOptions::new().parallel_tool_calls(false);
        assert_eq!(client.asks(fields, opened).await, Ok(expected));
    }
}

#[tokio::test]
async fn what_clients_keep_for_themselves_passes() {
    for (client, fields) in [
        (
            NATIVE,
            json!({"trigger": "a", "user": "ann", "metadata": {"a": 1}, "max_tokens": null, "n": 1}),
        ),
        (
            AI_SDK,
            json!({"trigger": "submit-message", "messageId": "m", "tools": {}, "system": "", "createdAt": 1}),
        ),
        (
            AG_UI,
            json!({"state": {"step": 2}, "context": [], "tools": [], "resume": [],
            "forwardedProps": {"conversationId": "c", "data": {}, "providerOptions": {}}}),
        ),
        (
            RESPONSES,
            json!({"user": "ann", "safety_identifier": "a", "prompt_cache_key": "k", "store": false,
            "prompt_cache_retention": "24h", "prompt_cache_options": {"mode": "x"}, "tool_choice": "auto"}),
        ),
    ] {
        let asked = client.asks(fields.clone(), CLOSED).await;
        assert_eq!(asked, Ok(ChatOptions::new()), "{fields}");
    }
}

#[tokio::test]
async fn a_field_that_the_application_reads_is_its_own() {
    let opened: Change = |layer| {
        let fields = ClientFields::nothing().field("providerOptions");
        layer.client_fields(fields.field("context").field("forwardedProps"))
    };
    for (client, fields) in [
        (
            AI_SDK,
            json!({"providerOptions": {"openai": {"user": "a"}}}),
        ),
        (
            AG_UI,
            json!({"context": [{"description": "a", "value": "b"}]}),
        ),
        (
            AG_UI,
            json!({"forwardedProps": {"providerOptions": {"a": {"b": 1}}}}),
        ),
    ] {
        let asked = client.asks(fields.clone(), opened).await;
        assert_eq!(asked, Ok(ChatOptions::new()), "{fields}");
    }
}

/// Posts a conversation with a message before the question.
async fn said(client: Client, message: Value) -> Result<ChatOptions, String> {
    let opened: Change = |layer| layer.client_fields(ClientFields::nothing().history(9_999));
    let mut last = json!({"id": "m9", "role": "user", "content": "So?"});
    if message.get("parts").is_some() {
        last = json!({"id": "m9", "role": "user", "parts": [{"type": "text", "text": "So?"}]});
    }
    client
        .asks(json!({ "messages": [message, last] }), opened)
        .await
}

#[tokio::test]
async fn a_piece_of_the_conversation_that_can_not_reach_the_model_is_refused_by_its_place() {
    let ui = |part: Value| json!({"id": "m1", "role": "assistant", "parts": [{"type": "step-start"}, part]});
    let state = |of: &str| {
        ui(json!({"type": "tool-now", "toolCallId": "c", "state": of, "input": {}, "output": 1}))
    };
    for known in [
        "input-streaming",
        "input-available",
        "output-available",
        "output-denied",
    ] {
        assert!(said(AI_SDK, state(known)).await.is_ok(), "{known}");
    }
    for (client, message, words) in [
        (
            AI_SDK,
            state("result"),
            ["`messages[0].parts[1]`", "`state`"],
        ),
        (
            AI_SDK,
            ui(json!({"type": "tool-now", "state": "output-available"})),
            ["`messages[0].parts[1]`", "`toolCallId`"],
        ),
        (
            AI_SDK,
            ui(json!({"type": "dynamic-tool", "toolCallId": "c", "state": "output-available"})),
            ["`messages[0].parts[1]`", "name of the tool"],
        ),
        (
            AI_SDK,
            ui(json!({"type": "data-provider-state", "id": "c", "data": 7})),
            ["`messages[0].parts[1]`", "`data`"],
        ),
        (
            AG_UI,
            json!({"role": "reasoning", "content": [{"type": "image", "source": {"type": "url", "value": "https://a.b/c"}}]}),
            ["`messages[0]`", "reasoning"],
        ),
        (
            AG_UI,
            json!({"role": "reasoning", "content": 7}),
            ["`messages[0]`", "`content`"],
        ),
        (
            AG_UI,
            json!({"role": "reasoning", "content": "a", "encryptedContent": "b"}),
            ["`messages[0]`", "`encryptedContent`"],
        ),
        (
            AG_UI,
            json!({"role": "user", "content": "a", "encryptedValue": "b"}),
            ["`messages[0]`", "`encryptedValue`"],
        ),
        (
            AG_UI,
            json!({"role": "user", "content": "a", "error": "b"}),
            ["`messages[0]`", "`error`"],
        ),
        (
            AG_UI,
            json!({"role": "wizard", "content": "a"}),
            ["wizard", "activity"],
        ),
    ] {
        let refused = said(client, message.clone())
            .await
            .expect_err(&message.to_string());
        for word in words {
            let word = word.replace("`content`", "content");
            assert!(refused.contains(&word), "{message}: {refused}");
        }
    }
    let thought = json!({"role": "reasoning", "content": [{"type": "text", "text": "Hm."}]});
    assert!(said(AG_UI, thought).await.is_ok());
}

#[tokio::test]
async fn a_message_of_another_protocol_is_refused_by_the_member_that_would_be_lost() {
    let said = |more: Value| {
        let mut message = json!({"role": "user", "content": "Hi"});
        message
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"messages": [message]})
    };
    are_refused([
        (
            NATIVE,
            said(json!({"images": ["iVBORw0KGgo="]})),
            ["`messages[0].images`", "`messages[0].content`"],
        ),
        (
            NATIVE,
            said(json!({"experimental_attachments": [{"url": "data:,a"}]})),
            [
                "`messages[0].experimental_attachments`",
                "`messages[0].content`",
            ],
        ),
        (
            STREAMS,
            said(json!({"parts": [{"type": "text", "text": "Hi"}]})),
            ["`messages[0].parts`", "`messages[0].content`"],
        ),
        (
            AI_SDK,
            said(json!({"id": "m"})),
            ["`messages[0]`", "`parts`"],
        ),
        (
            AI_SDK_STREAMS,
            said(json!({"id": "m", "parts": []})),
            ["`messages[0]`", "`parts`"],
        ),
    ])
    .await;
    for nothing in [
        json!({"images": []}),
        json!({"function_call": null}),
        json!({"name": "Ada"}),
    ] {
        let asked = NATIVE.asks(said(nothing.clone()), CLOSED).await;
        asked.unwrap_or_else(|refused| panic!("{nothing}: {refused}"));
    }
}
