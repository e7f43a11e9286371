//! One server for the clients that people have already: each dialect has an address, all share the
//! same sessions, and what one client started another can watch.
//!
//! ```text
//! cargo run -p axum-clients
//! cd examples/axum-clients/web && npm ci && npm run build      # the page, if you want it
//! ```
//!
//! | address | for |
//! |---|---|
//! | `/` | a page with `useChat` of the AI SDK, once it is built |
//! | `/api/ai` | the AI SDK |
//! | `/api/ag-ui` | TanStack AI, and other clients of AG-UI |
//! | `/v1` | the SDKs of OpenAI: `base_url="http://127.0.0.1:3000/v1"` |
//! | `/api/streams` | clients of Durable Streams |
//! | `/api/chat` | the native protocol |
//!
//! A scripted provider plays the model. The port is 3000, or what `PORT` or `--port` says; 0 picks a
//! free one. Answers live on disk, in `unbroken-sessions`, or where `--store` says: `memory`,
//! `disk:PATH`, `redis://…`, `postgres://…`.

use std::{env, net::Ipv4Addr, path::PathBuf, time::Duration};

use axum::{Router, serve::ListenerExt};
use chat_shared::{Arguments, asked_to_stop, open_store};
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

/// How long running answers may go on after the server was asked to stop.
const LAST_WORDS: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::of_process()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;
    let sessions = Sessions::builder(open_store(&arguments.store).await?).build();

    println!("listening on http://{}", listener.local_addr()?);
    // A token leaves at once: it doesn't wait until the client has acknowledged the one before.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    axum::serve(listener, app(&sessions))
        .with_graceful_shutdown(async move {
            asked_to_stop().await;
            sessions.shutdown(LAST_WORDS).await;
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

/// The model, for clients that speak this dialect.
fn mount(sessions: &Sessions, path: &'static str, dialect: impl Dialect) -> Router {
    // Here whoever knows the name of a chat or session has it. With users, name the policy by which
    // only the owner has: the ids that some of these clients make can be guessed.
    let layer = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
        .dialect(dialect)
        // Stored with each session, so that it is carried on by the layer that started it.
        .service_name(path)
        // What the scripted provider is to say, and the model that OpenAI's clients have to name.
        .client_fields(ClientFields::nothing().field("script").model());
    unbroken_axum::mount(path, layer.layer(Scripted::default()))
}

/// Where the page was built.
fn page() -> PathBuf {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/web/dist");
    env::var_os("PAGE_DIR").map_or_else(|| built.into(), PathBuf::from)
}
