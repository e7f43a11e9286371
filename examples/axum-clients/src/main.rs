//! One server for clients of several protocols. Each dialect has an address, all share the same sessions,
//! and a client of one dialect can read a session that another one started.
//!
//! ```text
//! cargo run -p axum-clients
//! cd examples/axum-clients/web && npm ci && npm run build      # builds the page, which is optional
//! ```
//!
//! | address | clients |
//! |---|---|
//! | `/` | a page with `useChat` of the AI SDK, once it is built |
//! | `/api/ai` | the AI SDK |
//! | `/api/ag-ui` | TanStack AI, and other clients of AG-UI |
//! | `/v1` | the SDKs of OpenAI, with `base_url="http://127.0.0.1:3000/v1"` |
//! | `/api/streams` | clients of Durable Streams |
//! | `/api/chat` | the native protocol |
//!
//! A scripted provider takes the place of the model. `--port` or `PORT` sets the port: 3000 by default,
//! 0 for a free one. `--store` sets the store: `memory`, `disk:PATH` (by default
//! `disk:unbroken-sessions`), `redis://…` or `postgres://…`.

use std::{env, net::Ipv4Addr, path::PathBuf, time::Duration};

use axum::{Router, serve::ListenerExt};
use chat_shared::{Arguments, open_store, shutdown_signal};
use tokio::net::TcpListener;
use tower_http::services::ServeDir;
use tower_layer::Layer;
use tracing_subscriber::filter::LevelFilter;
use unbroken::{
    BoxError,
    access::AnyoneWithTheId,
    dialect::{AgUi, AiSdk, Dialect, DurableStreams, Native, OpenAiResponses},
    durable::{ClientFields, DurableLayer},
    provider::Scripted,
    session::Sessions,
};

/// The time that running answers have to finish after the signal to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::from_process()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;
    let sessions = Sessions::builder(open_store(&arguments.store).await?).build();

    println!("listening on http://{}", listener.local_addr()?);
    // Sends each token at once, without waiting for the acknowledgement of the one before.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    axum::serve(listener, app(&sessions))
        .with_graceful_shutdown(async move {
            shutdown_signal().await;
            sessions.shutdown(SHUTDOWN_GRACE).await;
        })
        .await?;
    Ok(())
}

fn app(sessions: &Sessions) -> Router {
    Router::new()
        .merge(mount(sessions, "/api/chat", Native::new()))
        .merge(mount(sessions, "/api/ai", AiSdk::new()))
        .merge(mount(sessions, "/api/ag-ui", AgUi::new()))
        .merge(mount(sessions, "/v1", OpenAiResponses::new()))
        .merge(mount(sessions, "/api/streams", DurableStreams::new()))
        .fallback_service(ServeDir::new(page()))
}

/// Mounts the chat for clients of this dialect.
fn mount(sessions: &Sessions, path: &'static str, dialect: impl Dialect) -> Router {
    // A chat is open to anyone with its name. With users, take `OnlyTheOwner`: some of these clients
    // make ids that can be guessed.
    let layer = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
        .dialect(dialect)
        // Stored with each session, so that the layer that started it recovers it.
        .service_name(path)
        // The script of the scripted provider, and the model, which clients of OpenAI must name.
        .client_fields(ClientFields::nothing().field("script").model());
    unbroken_axum::mount(path, layer.layer(Scripted::default()))
}

/// Returns the folder of the built page.
fn page() -> PathBuf {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/web/dist");
    env::var_os("PAGE_DIR").map_or_else(|| built.into(), PathBuf::from)
}
