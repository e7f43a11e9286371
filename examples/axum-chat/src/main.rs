//! A chat page whose answers survive a reload, a second tab and a dropped connection.
//!
//! ```text
//! cargo run -p axum-chat
//! OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_MODEL=qwen3 cargo run -p axum-chat
//! OLLAMA_MODEL=qwen3 cargo run -p axum-chat
//! MODEL=claude-sonnet-4-5 cargo run -p axum-chat --features genai # with its key in ANTHROPIC_API_KEY
//! MCP_URL=http://127.0.0.1:3001/mcp cargo run -p axum-chat --features mcp # with the tools of that server
//! ```
//!
//! Without these variables a scripted provider takes the place of the model. `--port` or `PORT` sets
//! the port: 3000 by default, 0 for a free one. `--store` sets the store: `memory`, `disk:PATH` (by
//! default `disk:unbroken-sessions`), `redis://…` or `postgres://…`. Users may send pictures:
//! `chat_shared::pictures` sets their types and sizes.

use std::{net::Ipv4Addr, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{StatusCode, Uri},
    routing::get,
};
use chat_shared::{
    Arguments, MAX_BODY, Model, Page, open_store, pictures, readiness, shutdown_signal, tool_layer,
};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tracing_subscriber::filter::LevelFilter;
use unbroken::{
    BoxError,
    access::AnyoneWithTheId,
    durable::{ClientFields, DurableLayer, Recovery},
    session::Sessions,
};
use unbroken_hyper::ServerLimits;

/// The time that running answers have to finish after the signal to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Clients get the public message of a failure; its cause goes to `tracing`.
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::from_process()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;

    // Answers outlive this process if their store does. They are kept for five minutes after their end.
    let store = open_store(&arguments.store).await?;
    let sessions = Sessions::builder(store.store.clone()).build();

    let model = Model::from_env()?;
    let tools = tool_layer(model.name).await?;

    // The access policy: an answer is open to anyone with its id, which has 128 random bits. An
    // application with users takes `OnlyTheOwner` in its place.
    let durable = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
        // The first event of each answer lists the tools.
        .tools(tools.clone())
        // If this server stops during an answer, this or another server restarts it.
        .recovery(Recovery::new().restart())
        // Room for pictures: 1 MiB by default.
        .max_body(MAX_BODY);
    // The page keeps the conversation and sends it with each request, with pictures, and brings a tool.
    let mut open = ClientFields::nothing()
        .history(256 * 1024)
        .media(pictures())
        .client_tools(4, 16 * 1024);
    if model.name == "scripted" {
        open = open.field("script"); // lets requests bring a script
    }

    // HTTP requests enter at the top, and chat requests reach the provider at the bottom. The tool layer
    // runs the tools that the model calls. Each event is stored before a browser gets it.
    let chat = ServiceBuilder::new()
        .layer(durable.client_fields(open))
        .layer(tools)
        .service(model.provider);
    let probed = sessions.clone();
    let app = page(Page::new(model.name))
        .merge(unbroken_axum::mount("/api/chat", chat))
        .route("/livez", get(StatusCode::OK))
        .route("/readyz", get(async move || readiness(&probed).await));

    println!("listening on http://{}", listener.local_addr()?);
    // Unlike `axum::serve`, this closes connections whose client sends no request, or reads no response.
    let server = unbroken_hyper::serve(listener, app)
        .limits(ServerLimits::default().head_timeout(arguments.head_timeout))
        .with_graceful_shutdown(shutdown_signal())
        // Refuses new sessions, lets running ones finish, then ends all bodies. The server would
        // otherwise wait for the last reader.
        .hand_over(sessions, SHUTDOWN_GRACE);
    tokio::select! {
        () = server.into_future() => Ok(()),
        // A supervisor starts the process again, and the store is opened again.
        broken = store.restart_needed() => Err(broken),
    }
}

/// Serves the page at every other path.
fn page(page: Page) -> Router {
    Router::new().fallback_service(get(async move |uri: Uri| {
        page.file(uri.path()).map(Body::from)
    }))
}
