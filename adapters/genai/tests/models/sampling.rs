//! The settings of sampling that have no option of their own, in the form of each server.

use serde_json::{Value, json};
use unbroken::chat::{ChatOptions, ReasoningEffort, ResponseFormat};

use crate::{
    claude::CLAUDE,
    gemini::GEMINI,
    requests::{GPT, reply, sent, with},
    stub::{Stub, answer},
};

fn sampling(options: ChatOptions) -> ChatOptions {
    options
        .provider_field("top_k", 40)
        .provider_field("presence_penalty", 0.5)
        .provider_field("frequency_penalty", 0.25)
}

#[tokio::test]
async fn fields_of_sampling_go_where_each_server_reads_them() {
    let body = sent(GPT, &with(sampling(ChatOptions::new())))
        .await
        .unwrap();
    assert_eq!(body["top_k"], 40);
    assert_eq!(body["presence_penalty"], 0.5);
    assert_eq!(body["frequency_penalty"], 0.25);

    let top_k = with(ChatOptions::new().provider_field("top_k", 40));
    let body = sent(CLAUDE, &top_k).await.unwrap();
    assert_eq!(body["top_k"], 40);

    for (model, field) in [
        (CLAUDE, "presence_penalty"),
        (CLAUDE, "frequency_penalty"),
        ("openai_resp::gpt-5", "top_k"),
        ("openai_resp::gpt-5", "presence_penalty"),
        ("openai_resp::gpt-5", "frequency_penalty"),
        ("ollama::qwen3", "top_k"),
    ] {
        let request = with(ChatOptions::new().provider_field(field, 1));
        let error = sent(model, &request).await.unwrap_err();
        assert!(
            error.contains(&format!("`providerFields.{field}`")),
            "{model}: {error}"
        );
        let stub = Stub::new([reply(model)]).await;
        answer(stub.provider(model).lenient(), request).await;
        assert_eq!(stub.asked()[0].body.get(field), None, "{model}");
    }
}

#[tokio::test]
async fn fields_of_sampling_leave_the_rest_of_geminis_configuration_as_genai_writes_it() {
    let none = ChatOptions::new;
    let effort = |effort| none().reasoning_effort(effort);
    let typed = none()
        .temperature(0.5)
        .top_p(0.9)
        .seed(7)
        .max_output_tokens(100)
        .stop("END")
        .response_format(ResponseFormat::json_schema("a", json!({"type": "object"})));
    for model in [GEMINI, "gemini-3-pro", "gemini-2.5-flash-low"] {
        let mut cases = vec![none(), typed.clone()];
        cases.extend(
            [
                ReasoningEffort::Low,
                ReasoningEffort::Medium,
                ReasoningEffort::High,
            ]
            .map(effort),
        );
        if model == GEMINI {
            cases.push(effort(ReasoningEffort::None));
        } else if model == "gemini-3-pro" {
            cases.push(effort(ReasoningEffort::Minimal));
        }
        for options in cases {
            let mut expected = sent_to_gemini(model, options.clone()).await;
            let body = sent_to_gemini(model, sampling(options)).await;
            assert_eq!(body.get("top_k"), None);
            expected["generationConfig"]["topK"] = json!(40);
            expected["generationConfig"]["presencePenalty"] = json!(0.5);
            expected["generationConfig"]["frequencyPenalty"] = json!(0.25);
            assert_eq!(body, expected, "{model}");
        }
    }
    let own = none().provider_field("generationConfig", json!({"topP": 0.5}));
    let body = sent_to_gemini(GEMINI, own.provider_field("top_k", 40)).await;
    assert_eq!(body["generationConfig"], json!({"topP": 0.5, "topK": 40}));
    let own = none().provider_field("generationConfig", 1);
    let error = sent(GEMINI, &with(own.provider_field("top_k", 40))).await;
    assert!(
        error
            .unwrap_err()
            .contains("`providerFields.generationConfig`")
    );
}

async fn sent_to_gemini(model: &str, options: ChatOptions) -> Value {
    let stub = Stub::new([reply(GEMINI)]).await;
    let (_, error) = answer(stub.provider(model), with(options)).await;
    assert!(error.is_none(), "{error:?}");
    stub.asked()[0].body.clone()
}
