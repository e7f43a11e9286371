use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::header::CONTENT_TYPE,
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::Value;
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    dialect::{AgUi, AiSdk, OpenAiResponses},
    durable::{ClientFields, ClientMedia, DurableLayer},
    provider::OpenAi,
    session::Sessions,
};

/// A stub of a model's server, which speaks OpenAI's Chat Completions. It keeps its requests for the scripts.
#[derive(Clone, Default)]
struct Upstream {
    requests: Arc<Mutex<Vec<Value>>>,
}

const ANSWER: &str = "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Seen.\"}}]}\n\n\
    data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: [DONE]\n\n";

async fn complete(State(upstream): State<Upstream>, body: Bytes) -> impl IntoResponse {
    let body = serde_json::from_slice(&body).expect("the provider writes JSON");
    upstream.requests.lock().expect("nothing panics").push(body);
    ([(CONTENT_TYPE, "text/event-stream")], ANSWER)
}

/// Returns the requests that contain a word.
async fn about(State(upstream): State<Upstream>, Path(word): Path<String>) -> String {
    let requests = upstream.requests.lock().expect("nothing panics");
    let about = |body: &&Value| body.to_string().contains(&word);
    requests
        .iter()
        .filter(about)
        .cloned()
        .collect::<Value>()
        .to_string()
}

/// Returns the stub, and each dialect before it: below `/open` with media and an option open to clients,
/// below `/history` with media and earlier turns, and below `/closed` with nothing open.
pub(crate) fn app(server: SocketAddr, sessions: &Sessions) -> Router {
    let upstream = Router::new()
        .route("/upstream/chat/completions", post(complete))
        .route("/upstream/about/{word}", get(about))
        .layer(DefaultBodyLimit::disable())
        .with_state(Upstream::default());
    let model = OpenAi::builder()
        .base_url(format!("http://{server}/upstream"))
        .api_key("none")
        .model("stub")
        .tool_media(true)
        .build()
        .expect("the settings are whole");
    let open = ClientFields::nothing().media(ClientMedia::of(["*/*"]));
    let fields = [
        ("history", open.clone().history(1024 * 1024)),
        ("open", open.temperature(0.0..=1.0)),
        ("closed", ClientFields::nothing()),
    ];
    fields.into_iter().fold(upstream, |app, (name, fields)| {
        let layer = |dialect: &str| {
            let path = format!("/{name}/{dialect}");
            let layer = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
                .service_name(path.clone())
                .public_path(&path)
                .secret_chat_ids()
                .client_fields(fields.clone());
            (path, layer)
        };
        let (native, of_native) = layer("native");
        let (ai, of_ai) = layer("ai");
        let (ag_ui, of_ag_ui) = layer("ag-ui");
        let (v1, of_v1) = layer("v1");
        let responses = OpenAiResponses::new().model("scripted");
        app.nest_service(&native, of_native.layer(model.clone()))
            .nest_service(&ai, of_ai.dialect(AiSdk::new()).layer(model.clone()))
            .nest_service(&ag_ui, of_ag_ui.dialect(AgUi::new()).layer(model.clone()))
            .nest_service(&v1, of_v1.dialect(responses).layer(model.clone()))
    })
}
