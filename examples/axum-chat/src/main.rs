//! A chat page whose answers survive a reload, a second tab and a dropped connection.
//!
//! ```text
//! cargo run -p axum-chat
//! OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_MODEL=qwen3 cargo run -p axum-chat
//! OLLAMA_MODEL=qwen3 cargo run -p axum-chat
//! ```
//!
//! Without these variables a scripted provider takes the place of the model. `--port` or `PORT` sets
//! the port: 3000 by default, 0 for a free one. `--store` sets the store: `memory`, `disk:PATH` (by
//! default `disk:unbroken-sessions`), `redis://…` or `postgres://…`.

use std::{net::Ipv4Addr, time::Duration};

use axum::{Router, body::Body, http::Uri, routing::get, serve::ListenerExt};
use chat_shared::{Arguments, Model, Page, open_store, shutdown_signal, tools};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tracing_subscriber::filter::LevelFilter;
use unbroken::{
    BoxError,
    access::AnyoneWithTheId,
    chat::Capabilities,
    durable::{ClientFields, DurableLayer, Recovery},
    session::Sessions,
    tools::ToolLayer,
};

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
    let sessions = Sessions::builder(store).build();

    // The access policy: an answer is open to anyone with its id, which has 128 random bits. An
    // application with users takes `OnlyTheOwner` in its place.
    let mut durable = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
        // The first event of each answer lists the tools.
        .capabilities(Capabilities::new().tools(tools().names()))
        // If this server stops during an answer, this or another server restarts it.
        .recovery(Recovery::restart());
    let model = Model::from_env()?;
    if model.name == "scripted" {
        durable = durable.client_fields(ClientFields::nothing().field("script")); // lets requests bring a script
    }

    // HTTP requests enter at the top, and chat requests reach the provider at the bottom. The tool layer
    // runs the tools that the model calls. Each event is stored before a browser gets it.
    let chat = ServiceBuilder::new()
        .layer(durable)
        .layer(ToolLayer::new(tools()))
        .service(model.provider);
    let app = page(Page::new(model.name)).merge(unbroken_axum::mount("/api/chat", chat));

    println!("listening on http://{}", listener.local_addr()?);
    // Sends each token at once, without waiting for the acknowledgement of the one before.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            shutdown_signal().await;
            // Refuses new sessions, lets running ones finish, then ends all bodies. axum would
            // otherwise wait for the last reader.
            sessions.shutdown(SHUTDOWN_GRACE).await;
        })
        .await?;
    Ok(())
}

/// Serves the page at every other path.
fn page(page: Page) -> Router {
    Router::new().fallback_service(get(async move |uri: Uri| {
        page.file(uri.path()).map(Body::from)
    }))
}
