//! The durable chat in an axum application with its own state, users and layers.
//!
//! ```text
//! cargo run -p axum-existing
//! curl -H 'Authorization: Bearer ann-token' --json '"Ann likes tea."' localhost:3000/api/notes
//! curl -H 'Authorization: Bearer ann-token' -N localhost:3000/api/chat \
//!      --json '{"messages": [{"role": "user", "content": "What do I like?"}]}'
//! ```
//!
//! With `OPENAI_BASE_URL` (and `OPENAI_MODEL`) a model answers, otherwise a scripted provider. `--port`
//! or `PORT` sets the port: 3000 by default, 0 for a free one. `--store` sets the store, by default
//! `disk:unbroken-sessions`.
//!
//! With `CHATS_URL`, the URL of a `PostgreSQL` database, there is a second chat at `/api/pages` for pages with
//! `useChat`, whose conversations the application keeps:
//!
//! ```text
//! curl -H 'Authorization: Bearer ann-token' -N localhost:3000/api/pages --json '{"id": "chat-1",
//!      "message": {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}}'
//! curl -H 'Authorization: Bearer ann-token' localhost:3000/api/chats/chat-1
//! ```

use std::{env, net::Ipv4Addr, time::Duration};

use axum::Router;
use axum_existing::{
    App, chat,
    history::ChatTable,
    layers::{Settings, app},
    notes,
};
use chat_shared::{Arguments, open_store, shutdown_signal};
use tokio::net::TcpListener;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};
use unbroken::{
    BoxError,
    chat::Provider,
    durable::ClientFields,
    provider::{OpenAi, Scripted},
    session::Sessions,
};
use unbroken_hyper::ServerLimits;

/// The time that running answers have to finish after the signal to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let requests = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("tower_http", LevelFilter::DEBUG);
    let log = fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(log.with_filter(requests))
        .init();
    let arguments = Arguments::from_process()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;

    let state = App::demo();
    let store = open_store(&arguments.store).await?;
    let sessions = Sessions::builder(store.store.clone()).build();
    let table = match env::var("CHATS_URL") {
        Ok(url) => Some(ChatTable::open(&url).await?),
        Err(_) => None,
    };
    let open = ClientFields::nothing();
    let chat = if env::var_os("OPENAI_BASE_URL").is_some() {
        chats(&sessions, &state, table, &open, OpenAi::from_env()?)
    } else {
        println!("OPENAI_BASE_URL is not set: a scripted provider plays the model");
        let open = open.field("script"); // lets requests bring a script
        chats(&sessions, &state, table, &open, Scripted::default())
    };
    let app = app(notes::routes(), chat, state, &Settings::default());

    println!("listening on http://{}", listener.local_addr()?);
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

/// Returns both chats, or the first one without a table.
fn chats<P>(
    sessions: &Sessions,
    state: &App,
    table: Option<ChatTable>,
    open: &ClientFields,
    provider: P,
) -> Router
where
    P: Provider + Sync,
{
    let (sessions, state) = (sessions.clone(), state.clone());
    let own = open.clone().history(256 * 1024);
    let chat = chat::routes(sessions.clone(), state.clone(), own, provider.clone());
    match table {
        // Its clients send no earlier turns, so none are open to them.
        Some(table) => {
            let kept = chat::kept_routes(sessions, state, table, open.clone(), provider);
            chat.merge(kept)
        }
        None => chat,
    }
}
