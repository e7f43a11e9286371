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
//! Clients of the AI SDK and of AG-UI find answers by the ids of chats, so they need owners: a cookie
//! names one for each browser. Other clients read an answer by its id.
//!
//! A scripted provider takes the place of the model. `--port` or `PORT` sets the port: 3000 by default,
//! 0 for a free one. `--store` sets the store: `memory`, `disk:PATH` (by default
//! `disk:unbroken-sessions`), `redis://…` or `postgres://…`.

use std::{env, net::Ipv4Addr, path::PathBuf, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{
        header::{COOKIE, SET_COOKIE},
        request::Parts,
    },
    middleware::{Next, from_fn},
    response::Response,
};
use chat_shared::{Arguments, MAX_BODY, open_store, pictures, shutdown_signal};
use tokio::net::TcpListener;
use tower_http::services::ServeDir;
use tower_layer::Layer;
use tracing_subscriber::filter::LevelFilter;
use unbroken::{
    BoxError,
    access::{Access, AnyoneWithTheId, OnlyTheOwner},
    dialect::{AgUi, AiSdk, Dialect, DurableStreams, Native, OpenAiResponses},
    durable::{ClientFields, DurableLayer},
    log::{Owner, SessionId},
    provider::Scripted,
    session::Sessions,
};
use unbroken_hyper::ServerLimits;

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
    let store = open_store(&arguments.store).await?;
    let sessions = Sessions::builder(store.store.clone()).build();

    println!("listening on http://{}", listener.local_addr()?);
    let server = unbroken_hyper::serve(listener, app(&sessions))
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

fn app(sessions: &Sessions) -> Router {
    let visitor = OnlyTheOwner::new(|head: &mut Parts| head.extensions.get::<Owner>().cloned());
    let anyone = AnyoneWithTheId::new();
    Router::new()
        .merge(mount(sessions, "/api/chat", anyone, Native::new()))
        .merge(mount(sessions, "/api/ai", visitor.clone(), AiSdk::new()))
        .merge(mount(sessions, "/api/ag-ui", visitor, AgUi::new()))
        .merge(mount(sessions, "/v1", anyone, OpenAiResponses::new()))
        .merge(mount(
            sessions,
            "/api/streams",
            anyone,
            DurableStreams::new(),
        ))
        .fallback_service(ServeDir::new(page()))
        .layer(from_fn(name_visitor))
}

/// Names an owner for each browser, by a cookie that is as hard to guess as a session id.
async fn name_visitor(mut request: Request, next: Next) -> Response {
    let cookies = request.headers().get_all(COOKIE).iter();
    let known = cookies
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split("; "))
        .find_map(|cookie| cookie.strip_prefix("visitor=")?.parse::<SessionId>().ok());
    let visitor = known.clone().unwrap_or_else(SessionId::random);
    request
        .extensions_mut()
        .insert(Owner::new(visitor.as_str()));
    let mut response = next.run(request).await;
    if known.is_none() {
        let cookie = format!("visitor={visitor}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax");
        let cookie = cookie.parse().expect("an id is visible ASCII");
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Mounts the chat for clients of this dialect.
fn mount(
    sessions: &Sessions,
    path: &'static str,
    access: impl Access,
    dialect: impl Dialect,
) -> Router {
    let layer = DurableLayer::new(sessions.clone(), access)
        .dialect(dialect)
        // Stored with each session, so that the layer that started it recovers it.
        .service_name(path)
        // Room for pictures: 1 MiB by default.
        .max_body(MAX_BODY)
        // The conversation, which most of these clients send with each request, its pictures, and tools of
        // theirs; the script of the scripted provider; and the model, which clients of OpenAI must name.
        .client_fields(
            ClientFields::nothing()
                .history(256 * 1024)
                .media(pictures())
                .client_tools(16, 64 * 1024)
                .field("script")
                .model(),
        );
    unbroken_axum::mount(path, layer.layer(Scripted::default()))
}

/// Returns the folder of the built page.
fn page() -> PathBuf {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/web/dist");
    env::var_os("PAGE_DIR").map_or_else(|| built.into(), PathBuf::from)
}
