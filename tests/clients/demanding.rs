use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    dialect::{AgUi, AiSdk, Native, OpenAiResponses, ai_sdk::UiMessage},
    durable::{ClientFields, DurableLayer},
    provider::{OpenAi, openai::ReasoningHistory},
    session::Sessions,
    tools::{Call, ToolLayer, Tools, tool_fn},
};

use crate::gate::Gates;

/// The rounds of tools of each question.
const ROUNDS: usize = 3;

/// A model's server that answers a question after three rounds of tools, and refuses a conversation in which
/// a turn of its own lacks what vendors demand back, by the rules that they publish:
///
/// * `reasoning_content` of turns with calls (DeepSeek, Moonshot);
/// * `reasoning_details`, as they came (OpenRouter, MiniMax);
/// * `extra_content` of calls, the signature of the call (Gemini);
/// * the result of each call, right after it (all).
///
/// Conversations are told apart by the first message of the user. The second round of a first question
/// waits for the gate of that name.
#[derive(Clone)]
struct Demanding {
    gates: Gates,
    seen: Arc<Mutex<HashMap<String, Seen>>>,
    kept: Arc<Mutex<HashMap<String, Value>>>,
}

#[derive(Clone, Default)]
struct Seen {
    answered: usize,
    refused: Vec<String>,
}

/// Returns the stub, and each dialect before it.
pub(crate) fn app(server: SocketAddr, sessions: &Sessions, gates: &Gates) -> Router {
    let stub = Demanding {
        gates: gates.clone(),
        seen: Arc::default(),
        kept: Arc::default(),
    };
    let model = OpenAi::builder()
        .base_url(format!("http://{server}/demanding/model"))
        .api_key("none")
        .model("stub")
        .retries(0)
        .reasoning_history(ReasoningHistory::All)
        .build()
        .expect("the settings are whole");
    let now = tool_fn(
        "now",
        "The time.",
        |_: Value, _: Call| async move { Ok("noon") },
    );
    let tools = ToolLayer::new(Tools::new().with(now));
    let layer = |name: &str| {
        let kept = stub.kept.clone();
        let path = format!("/demanding/{name}");
        let layer = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
            .service_name(path.clone())
            .public_path(&path)
            .secret_chat_ids()
            .client_fields(ClientFields::nothing().history(1024 * 1024))
            .on_end(move |ended| {
                let message = UiMessage::from_transcript(ended.id.as_str(), &ended.transcript);
                let whole = json!({"message": message, "messages": ended.transcript.messages()});
                let mut kept = kept.lock().expect("nothing panics");
                kept.insert(ended.id.to_string(), whole);
                std::future::ready(())
            });
        (path, layer)
    };
    let provider = || tools.clone().layer(model.clone());
    let (native, of_native) = layer("native");
    let (ai, of_ai) = layer("ai");
    let (ag_ui, of_ag_ui) = layer("ag-ui");
    let (v1, of_v1) = layer("v1");
    let responses = OpenAiResponses::new().model("stub");
    Router::new()
        .route("/demanding/model/chat/completions", post(complete))
        .route("/demanding/seen/{word}", get(seen))
        .route("/demanding/kept/{id}", get(kept))
        .with_state(stub.clone())
        .nest_service(&native, of_native.dialect(Native::new()).layer(provider()))
        .nest_service(&ai, of_ai.dialect(AiSdk::new()).layer(provider()))
        .nest_service(&ag_ui, of_ag_ui.dialect(AgUi::new()).layer(provider()))
        .nest_service(&v1, of_v1.dialect(responses).layer(provider()))
}

async fn seen(State(stub): State<Demanding>, Path(word): Path<String>) -> String {
    let seen = stub.seen.lock().expect("nothing panics");
    let seen = seen.get(&word).cloned().unwrap_or_default();
    json!({"answered": seen.answered, "refused": seen.refused}).to_string()
}

/// Returns what the application keeps of an answer: the message of the AI SDK, and the turns.
async fn kept(State(stub): State<Demanding>, Path(id): Path<String>) -> Result<String, StatusCode> {
    let kept = stub.kept.lock().expect("nothing panics");
    let kept = kept.get(&id).ok_or(StatusCode::NOT_FOUND)?;
    Ok(kept.to_string())
}

async fn complete(State(stub): State<Demanding>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).expect("the provider writes JSON");
    let messages = body["messages"].as_array().expect("there are messages");
    let word = messages[0]["content"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let checked = check(messages);
    {
        let mut seen = stub.seen.lock().expect("nothing panics");
        let seen = seen.entry(word.clone()).or_default();
        match &checked {
            Ok(()) => seen.answered += 1,
            Err(why) => seen.refused.push(format!("{why} in {body}")),
        }
    }
    if let Err(why) = checked {
        let error =
            json!({"error": {"message": why, "type": "invalid_request_error", "code": 400}});
        return (StatusCode::BAD_REQUEST, error.to_string()).into_response();
    }
    let of = |role: &str| messages.iter().filter(|it| it["role"] == role).count();
    let number = of("assistant") + 1;
    let since = messages.iter().rev().take_while(|it| it["role"] != "user");
    let round = since.filter(|it| it["role"] == "assistant").count() + 1;
    let mut frames = answer(number, round > ROUNDS);
    let rest = frames.split_off(2);
    let held = (round == 2 && of("user") == 1).then(|| (stub.gates.clone(), word));
    let first = stream::iter(frames);
    let rest = stream::once(async move {
        if let Some((gates, word)) = held {
            gates.opened(&word).await;
        }
        stream::iter(rest)
    });
    let frames = first.chain(rest.flatten()).map(Ok::<_, Infallible>);
    (
        [(CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(frames),
    )
        .into_response()
}

fn thought(number: usize) -> String {
    format!("Hm {number}.")
}

fn details(number: usize) -> Value {
    json!([{"type": "reasoning.encrypted", "data": format!("turn-{number}"), "index": 0}])
}

fn signature(number: usize) -> Value {
    json!({"google": {"thought_signature": format!("call-{number}")}})
}

/// Returns a turn: thoughts and a text first, then the rest.
fn answer(number: usize, is_last: bool) -> Vec<String> {
    let said = if is_last { "It is noon." } else { "I look." };
    let mut deltas = vec![
        json!({"reasoning_content": thought(number)}),
        json!({"content": said}),
        json!({"reasoning_details": details(number)}),
    ];
    if !is_last {
        let function = json!({"name": "now", "arguments": "{}"});
        let call = json!({"index": 0, "id": format!("c{number}"), "type": "function",
                          "function": function, "extra_content": signature(number)});
        deltas.push(json!({"tool_calls": [call]}));
    }
    let reason = if is_last { "stop" } else { "tool_calls" };
    let chunk = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        let chunk = json!({"object": "chat.completion.chunk", "choices": [choice]});
        format!("data: {chunk}\n\n")
    };
    let deltas = deltas.into_iter().map(|delta| chunk(delta, Value::Null));
    let end = [
        chunk(json!({}), reason.into()),
        "data: [DONE]\n\n".to_owned(),
    ];
    deltas.chain(end).collect()
}

/// Checks that each turn has what belongs to it, and nothing of another one.
fn check(messages: &[Value]) -> Result<(), String> {
    let mut turns = 0;
    let mut at = 0;
    while let Some(message) = messages.get(at) {
        at += 1;
        if message["role"] != "assistant" {
            continue;
        }
        turns += 1;
        let number = turns;
        let missing = |what: &str| Err(format!("turn {number} has another `{what}`: {message}"));
        if message["reasoning_content"] != thought(number) {
            return missing("reasoning_content");
        }
        if message["reasoning_details"] != details(number) {
            return missing("reasoning_details");
        }
        let calls = message["tool_calls"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let said = if calls.is_empty() {
            "It is noon."
        } else {
            "I look."
        };
        if message["content"] != said {
            return missing("content");
        }
        for call in calls {
            if call["extra_content"] != signature(number) {
                return missing("extra_content");
            }
            let result = messages.get(at);
            if !result.is_some_and(|it| it["role"] == "tool" && it["tool_call_id"] == call["id"]) {
                return Err(format!("turn {number} lacks the result of {call}"));
            }
            at += 1;
        }
    }
    Ok(())
}
