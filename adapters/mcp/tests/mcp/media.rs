//! Pictures, sounds and files in results.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::post,
};
use futures_util::TryStreamExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};
use unbroken::{
    chat::{ChatEvent, ChatRequest, Content, Media, Role},
    store::Memory,
    tools::{ToolLayer, Tools},
};
use unbroken_genai::{
    GenAi,
    genai::{
        Client, ServiceTarget,
        resolver::{AuthData, Endpoint},
    },
};
use unbroken_mcp::McpTools;

use crate::{
    calls::{all_ways, call},
    chat::{Chat, error, of},
    server::{PIXEL, TONE},
    trials,
};

pub(crate) fn trials() -> impl IntoIterator<Item = Trial> {
    trials![
        media_reach_the_model_and_the_clients_in_their_places,
        closed_media_are_an_error_that_names_them,
        media_beside_a_failure_are_named,
        bytes_that_are_not_base64_are_an_error,
    ]
}

fn parts() -> Content {
    Content::new()
        .text("Here it is.")
        .media(Media::link(
            "image/png",
            format!("data:image/png;base64,{PIXEL}"),
        ))
        .text("And a file:")
        .media(Media::new("application/octet-stream", b"hello").name("hello.bin"))
        .media(Media::link(
            "audio/wav",
            format!("data:audio/wav;base64,{TONE}"),
        ))
}

async fn media_reach_the_model_and_the_clients_in_their_places() {
    for mut scene in all_ways() {
        let tools = scene.mcp().await.connect().await.unwrap();
        let chat = Chat::on(&Memory::new(), &tools, |layer| layer.media(["*/*"]));
        let events = chat.whole("a", &call("picture", &json!({}))).await;
        let way = scene.way;
        let given: Content =
            serde_json::from_value(of(&events, "tool_result")[0]["content"].clone()).unwrap();
        assert_eq!(given, parts(), "{way}: {events:?}");
        let asked = chat.asked.lock().unwrap();
        let told = asked
            .last()
            .unwrap()
            .messages
            .iter()
            .find(|it| it.role == Role::Tool);
        assert_eq!(told.unwrap().content, parts(), "{way}");
    }
}

async fn closed_media_are_an_error_that_names_them() {
    for mut scene in all_ways() {
        let tools = scene.mcp().await.connect().await.unwrap();
        let ask = call("picture", &json!({}));
        let open: [(&[&str], &str); 2] = [
            (&[], "`image/png`"),
            (&["image/*"], "`application/octet-stream`"),
        ];
        for (types, named) in open {
            let chat = Chat::on(&Memory::new(), &tools, |layer| layer.media(types.to_vec()));
            let events = chat.whole("a", &ask).await;
            assert!(error(&events).contains(named), "{}: {events:?}", scene.way);
        }
        assert_eq!(scene.times("run picture"), 2);
    }
}

async fn media_beside_a_failure_are_named() {
    for mut scene in all_ways() {
        let tools = scene.mcp().await.connect().await.unwrap();
        let chat = Chat::on(&Memory::new(), &tools, |layer| layer.media(["*/*"]));
        let events = chat
            .whole("a", &call("picture", &json!({"fails": true})))
            .await;
        for word in ["Here it is.", "`image/png`", "`audio/wav`"] {
            assert!(error(&events).contains(word), "{}: {events:?}", scene.way);
        }
    }
}

async fn bytes_that_are_not_base64_are_an_error() {
    for mut scene in all_ways() {
        let tools = scene.mcp().await.connect().await.unwrap();
        let chat = Chat::on(&Memory::new(), &tools, |layer| layer.media(["*/*"]));
        let events = chat
            .whole("a", &call("picture", &json!({"broken": true})))
            .await;
        assert!(
            error(&events).contains("base64"),
            "{}: {events:?}",
            scene.way
        );
    }
}

/// Returns the events of a message of Claude's that calls a tool, or says that it has seen its result.
fn claude(name: Option<&str>) -> String {
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let (block, delta, reason) = match name {
        Some(name) => (
            json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}),
            json!({"type": "input_json_delta", "partial_json": "{}"}),
            "tool_use",
        ),
        None => (
            json!({"type": "text", "text": ""}),
            json!({"type": "text_delta", "text": "Seen."}),
            "end_turn",
        ),
    };
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
            "content": [], "model": "claude-sonnet-4-5", "stop_reason": null, "usage": usage}}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": usage}),
        json!({"type": "message_stop"}),
    ];
    let framed = events.map(|event| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        )
    });
    framed.concat()
}

type Asked = Arc<Mutex<Vec<Value>>>;

async fn answer(
    State((name, asked)): State<(&'static str, Asked)>,
    body: String,
) -> impl IntoResponse {
    let mut asked = asked.lock().unwrap();
    asked.push(serde_json::from_str(&body).unwrap());
    let name = Some(name).filter(|_| asked.len() == 1);
    ([(CONTENT_TYPE, "text/event-stream")], claude(name))
}

/// Has Claude, whose server is a stub, call the tool that gives a picture. The picture stands in this file
/// of the tool's program.
pub(crate) async fn reaches_claude(tools: &McpTools, name: &'static str, file: &Path) {
    let asked = Asked::default();
    let app = Router::new()
        .route("/v1/messages", post(answer))
        .with_state((name, asked.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base: Arc<str> = format!("http://{}/v1/", listener.local_addr().unwrap()).into();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let client = Client::builder()
        .with_service_target_resolver_fn(move |mut target: ServiceTarget| {
            target.endpoint = Endpoint::from_owned(Arc::clone(&base));
            target.auth = AuthData::from_single("none");
            Ok(target)
        })
        .build()
        .unwrap();
    let layer = ToolLayer::new(Tools::new())
        .source(tools.clone())
        .media(["image/*"]);
    let provider = layer.layer(GenAi::new(client).model("claude-sonnet-4-5"));
    let answer = provider
        .oneshot(ChatRequest::from_user("Draw."))
        .await
        .unwrap();
    let events: Vec<ChatEvent> = answer.try_collect().await.unwrap();
    let result = events.iter().find_map(|event| match event {
        ChatEvent::ToolResult(result) => Some(&result.content),
        _ => None,
    });
    let result = result.unwrap_or_else(|| panic!("{events:?}"));
    let picture = result.all_media().next().unwrap();
    assert_eq!(
        result.parts().len(),
        3,
        "a picture between texts: {result:?}"
    );
    let program = std::fs::read_to_string(file).unwrap();
    let bytes = picture.base64().unwrap();
    assert!(
        bytes.len() > 1000 && program.contains(&format!("\"{bytes}\"")),
        "byte for byte"
    );

    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    let content = &asked[1]["messages"][2]["content"][0]["content"];
    let types: Vec<_> = content
        .as_array()
        .unwrap()
        .iter()
        .map(|block| &block["type"])
        .collect();
    assert_eq!(types, ["text", "image", "text"]);
    let source = json!({"type": "base64", "media_type": "image/png", "data": bytes});
    assert_eq!(content[1]["source"], source);
    assert!(events.contains(&ChatEvent::text("Seen.")), "{events:?}");
}
