//! Three rounds of tools and a second question, against servers that demand each signature back in its place.

use std::collections::HashMap;

use serde_json::{Value, json};
use tower::ServiceBuilder;
use unbroken::{
    chat::{ChatEvent, ChatRequest, Message, Transcript},
    tools::{Call, ToolLayer, Tools, tool_fn},
};

use crate::{
    claude::{self, CLAUDE},
    gemini::{self, GEMINI},
    responses::{self, GPT_5},
    stub::{Asked, Reply, Stub, answer, frames, of_type},
};

const OPEN_ROUTER: &str = "open_router::some/model";
const ROUNDS: usize = 3;

/// Returns an answer that thinks, and calls the tool in the first rounds.
fn round(model: &str, number: usize) -> String {
    let (signature, id) = (format!("s{number}."), format!("toolu_{number}"));
    let city = format!("City {number}");
    let arguments = json!({ "city": city }).to_string();
    let calls = !number.is_multiple_of(ROUNDS + 1);
    match model {
        CLAUDE => {
            let thought = claude::thinking(0, "Hm.", [&signature, ""]);
            if calls {
                let called = claude::tool_use(1, &id, "weather", &[&arguments]);
                claude::message([thought, called], "tool_use")
            } else {
                claude::message([thought, claude::text(1, &["Snow."])], "end_turn")
            }
        }
        GEMINI => {
            let said = if calls {
                json!({"functionCall": {"name": "weather", "args": {"city": city}}, "thoughtSignature": signature})
            } else {
                json!({"text": "Snow.", "thoughtSignature": signature})
            };
            frames(&[gemini::last(json!([said]), "STOP")])
        }
        GPT_5 => {
            let reasoning = json!({"type": "reasoning", "id": format!("rs_{number}"), "summary": [],
                                   "encrypted_content": signature});
            let mut call = responses::call(&id, &arguments, "completed");
            call["name"] = "weather".into();
            let text = json!({"type": "message", "id": format!("msg_{number}"),
                              "content": [{"type": "output_text", "text": "Snow."}]});
            let said = if calls { call } else { text };
            claude::named(&[
                responses::created(),
                responses::completed(json!([reasoning, said])),
            ])
        }
        _ => {
            let detail = json!([{"type": "reasoning.encrypted", "data": signature, "index": 0}]);
            let function = json!({"name": "weather", "arguments": arguments});
            let said = if calls {
                json!({"tool_calls": [{"index": 0, "id": id, "function": function}]})
            } else {
                json!({"content": "Snow."})
            };
            let chunk = |delta: Value, reason: Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
            frames(&[
                chunk(json!({ "reasoning_details": detail }), Value::Null),
                chunk(said, json!("stop")),
            ])
        }
    }
}

/// Returns true if a request has the signatures of all rounds before, in their order, each before its result.
fn has_all(asked: &Asked, rounds: usize) -> bool {
    let body = asked.body.to_string();
    let mut after = 0;
    (1..rounds).all(|number| {
        let signature = format!("\"s{number}.\"");
        let found = body[after..].find(&signature).map(|at| after + at);
        let last = found.unwrap_or_default();
        let is_once = body.matches(&signature).count() == 1;
        after = last;
        let result = format!("snow in City {number}\"");
        let called = !number.is_multiple_of(ROUNDS + 1);
        let in_place = !called || body[last..].contains(&result);
        found.is_some() && is_once && in_place
    })
}

#[tokio::test]
async fn signatures_come_back_over_rounds_of_tools_and_in_the_second_question() {
    for model in [CLAUDE, GEMINI, GPT_5, OPEN_ROUTER] {
        let stub = Stub::answering(move |asked, number| {
            if has_all(asked, number) {
                Reply::Stream(round(model, number))
            } else {
                Reply::Status(
                    400,
                    "",
                    json!({"error": {"message": "signatures"}}).to_string(),
                )
            }
        })
        .await;
        let weather = tool_fn(
            "weather",
            "The weather in a city.",
            |city: HashMap<String, String>, _: Call| async move {
                Ok(format!("snow in {}", city["city"]))
            },
        );
        let provider = ServiceBuilder::new()
            .layer(ToolLayer::new(Tools::new().with(weather)))
            .service(stub.provider(model));
        let mut request = ChatRequest::from_user("How is the weather?");
        for question in 1..=2 {
            let (events, error) = answer(provider.clone(), request.clone()).await;
            let last = stub.asked().pop().unwrap();
            assert!(
                error.is_none(),
                "{model}, {question}: {error:?} {:#}",
                last.body
            );
            assert_eq!(
                of_type(&events, "tool_result").len(),
                ROUNDS,
                "{model}, {question}"
            );
            assert_eq!(of_type(&events, "text").last().unwrap()["content"], "Snow.");
            // The history as the log has it.
            let mut transcript = Transcript::new();
            for event in events {
                let event: ChatEvent = serde_json::from_value(event).unwrap();
                transcript.push(&event);
            }
            request.messages.extend(transcript.messages());
            request.messages.push(Message::user("And then?"));
        }
        assert_eq!(stub.asked().len(), 2 * (ROUNDS + 1), "{model}");
    }
}
