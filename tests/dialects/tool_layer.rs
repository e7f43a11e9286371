//! Server tools and client tools in one answer, in the dialects whose clients have tools.

use axum::body::{Body, to_bytes};
use futures_util::stream;
use http::Request;
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use unbroken::{
    access::OnlyTheOwner,
    chat::{ChatEvent, ChatRequest, ProviderError, Role, ToolCall, provider_fn},
    dialect::{AgUi, Dialect, OpenAiResponses},
    durable::{ClientFields, DurableLayer, SessionBody},
    log::Owner,
    session::Sessions,
    tools::{Call, ToolLayer, Tools, tool_fn},
};

type Chat =
    BoxCloneSyncService<Request<Body>, http::Response<SessionBody>, std::convert::Infallible>;

/// Returns a chat whose model calls a server tool and a client tool, and then answers with their outputs.
fn chat(dialect: impl Dialect) -> Chat {
    let model = provider_fn(|request: ChatRequest| {
        let outputs: Vec<_> = request
            .messages
            .iter()
            .filter(|message| message.role == Role::Tool)
            .map(|message| message.text().into_owned())
            .collect();
        let event = if outputs.is_empty() {
            ChatEvent::tool_calls([
                ToolCall::new("a", "now", json!({})),
                ToolCall::new("b", "map", json!({"zoom": 3})),
            ])
        } else {
            ChatEvent::text(outputs.join(" and "))
        };
        stream::iter([Ok::<_, ProviderError>(event)])
    });
    let now = tool_fn(
        "now",
        "The time.",
        |_: Value, _: Call| async move { Ok("noon") },
    );
    let provider = ServiceBuilder::new()
        .layer(ToolLayer::new(Tools::new().with(now)))
        .service(model);
    let who = |head: &mut http::request::Parts| {
        let name = head.headers.get("x-user")?.to_str().ok()?;
        Some(Owner::new(name))
    };
    let open = ClientFields::nothing()
        .history(64 * 1024)
        .client_tools(4, 4096);
    let layer = DurableLayer::new(Sessions::in_memory(), OnlyTheOwner::new(who))
        .client_fields(open)
        .dialect(dialect);
    BoxCloneSyncService::new(layer.layer(provider))
}

async fn post(chat: &Chat, path: &str, body: &Value) -> String {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .header("x-user", "ann")
        .body(Body::from(body.to_string()));
    let response = chat.clone().oneshot(request.unwrap()).await.unwrap();
    let bytes = to_bytes(Body::new(response.into_body()), usize::MAX).await;
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn ag_uis_clients_run_their_tools_and_see_server_tools() {
    let chat = chat(AgUi::new());
    let mut messages = vec![json!({"id": "1", "role": "user", "content": "Hi"})];
    let run = |number: u32, messages: &[Value]| {
        json!({
            "threadId": "t", "runId": format!("a-run-that-is-long-enough-{number}"),
            "messages": messages,
            "tools": [{"name": "map", "description": "Shows a map", "parameters": {"type": "object"}}],
        })
    };
    let events = |stream: &str| -> Vec<Value> {
        let data = stream.lines().filter_map(|it| it.strip_prefix("data: "));
        data.map(|it| serde_json::from_str(it).unwrap()).collect()
    };
    let first = events(&post(&chat, "/", &run(1, &messages)).await);
    let of = |kind: &str| -> Vec<&Value> { first.iter().filter(|it| it["type"] == kind).collect() };
    assert_eq!(of("TOOL_CALL_START").len(), 2, "{first:?}");
    assert_eq!(of("TOOL_CALL_RESULT").len(), 1);
    assert_eq!(of("TOOL_CALL_RESULT")[0]["toolCallId"], "a");
    assert_eq!(of("CUSTOM").len(), 1);
    assert_eq!(of("CUSTOM")[0]["value"]["toolCallId"], "b");
    assert_eq!(
        of("RUN_FINISHED")[0]["outcome"],
        json!({"type": "success", "pendingToolCallIds": ["b"]})
    );

    let call = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
    messages.extend([
        json!({"id": "2", "role": "assistant", "toolCalls": [call("a", "now"), call("b", "map")]}),
        json!({"id": "3", "role": "tool", "toolCallId": "a", "content": "noon"}),
        json!({"id": "4", "role": "tool", "toolCallId": "b", "content": "a map"}),
    ]);
    let second = events(&post(&chat, "/", &run(2, &messages)).await);
    let deltas = second.iter().filter_map(|it| it["delta"].as_str());
    assert_eq!(deltas.collect::<String>(), "noon and a map");
}

#[tokio::test]
async fn openais_clients_run_their_tools_and_see_server_tools() {
    let dialect = OpenAiResponses::new().model("assistant");
    let chat = chat(dialect);
    let mut input = vec![json!({"role": "user", "content": "Hi"})];
    let body = |input: &[Value]| {
        json!({
            "model": "assistant", "input": input,
            "tools": [{"type": "function", "name": "map", "parameters": {"type": "object"}}],
        })
    };
    let first: Value =
        serde_json::from_str(&post(&chat, "/responses", &body(&input)).await).unwrap();
    let output = first["output"].as_array().unwrap();
    let kinds: Vec<_> = output
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "mcp_call").count(),
        1,
        "{first}"
    );
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| **kind == "function_call")
            .count(),
        1,
        "{first}"
    );
    assert_eq!(kinds.len(), 2, "{first}");

    input.extend(output.iter().cloned());
    input.push(json!({"type": "function_call_output", "call_id": "b", "output": "a map"}));
    let second: Value =
        serde_json::from_str(&post(&chat, "/responses", &body(&input)).await).unwrap();
    let text = second["output"][0]["content"][0]["text"].as_str().unwrap();
    let mut outputs: Vec<_> = text.split(" and ").collect();
    outputs.sort_unstable();
    // The result of the server's tool stands in the item and in the turn of the log.
    outputs.dedup();
    assert_eq!(outputs, ["a map", "noon"]);
}
