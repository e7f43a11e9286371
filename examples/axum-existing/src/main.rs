//! The durable chat in an axum application that has its own state, users and layers.
//!
//! ```text
//! cargo run -p axum-existing
//! curl -H 'Authorization: Bearer ann-token' --json '"Ann likes tea."' localhost:3000/api/notes
//! curl -H 'Authorization: Bearer ann-token' -N localhost:3000/api/chat \
//!      --json '{"messages": [{"role": "user", "content": "What do I like?"}]}'
//! ```
//!
//! With `OPENAI_BASE_URL` (and `OPENAI_MODEL`) a model answers, else a script. The port is 3000, or
//! what `PORT` or `--port` says; 0 picks a free one. Answers live on disk, in `unbroken-sessions`, or
//! where `--store` says.

use std::{env, net::Ipv4Addr, time::Duration};

use axum::serve::ListenerExt;
use axum_existing::{
    App, chat,
    layers::{Settings, app},
    notes,
};
use chat_shared::{Arguments, asked_to_stop, open_store};
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

/// How long running answers may go on after the server was asked to stop.
const LAST_WORDS: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let requests = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("tower_http", LevelFilter::DEBUG);
    let log = fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(log.with_filter(requests))
        .init();
    let arguments = Arguments::of_process()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;

    let state = App::demo();
    let sessions = Sessions::builder(open_store(&arguments.store).await?).build();
    let chat = if env::var_os("OPENAI_BASE_URL").is_some() {
        let model = OpenAi::from_env()?;
        chat::routes(
            sessions.clone(),
            state.clone(),
            ClientFields::nothing(),
            model,
        )
    } else {
        println!("OPENAI_BASE_URL is not set: a scripted provider plays the model");
        let open = ClientFields::nothing().field("script"); // requests may bring what it shall say
        chat::routes(sessions.clone(), state.clone(), open, Scripted::default())
    };
    let app = app(notes::routes(), chat, state, &Settings::default());

    println!("listening on http://{}", listener.local_addr()?);
    // A token leaves at once: it doesn't wait until the client has acknowledged the one before.
    let listener = listener.tap_io(|tcp| drop(tcp.set_nodelay(true)));
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            asked_to_stop().await;
            // axum waits until every response is over, and a stream may never be. This starts
            // nothing more, lets what runs finish, and then ends all bodies.
            sessions.shutdown(LAST_WORDS).await;
        })
        .await?;
    Ok(())
}
