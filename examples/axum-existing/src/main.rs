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

use std::{env, net::Ipv4Addr, time::Duration};

use axum_existing::{
    App, chat,
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
    let chat = if env::var_os("OPENAI_BASE_URL").is_some() {
        let model = OpenAi::from_env()?;
        chat::routes(
            sessions.clone(),
            state.clone(),
            ClientFields::nothing().history(256 * 1024),
            model,
        )
    } else {
        println!("OPENAI_BASE_URL is not set: a scripted provider plays the model");
        let open = ClientFields::nothing().history(256 * 1024);
        let open = open.field("script"); // lets requests bring a script
        chat::routes(sessions.clone(), state.clone(), open, Scripted::default())
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
