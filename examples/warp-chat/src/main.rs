//! A chat page whose answers survive a reload, a second tab and a dropped connection, on warp.
//!
//! ```text
//! cargo run -p warp-chat
//! OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_MODEL=qwen3 cargo run -p warp-chat
//! OLLAMA_MODEL=qwen3 cargo run -p warp-chat
//! ```
//!
//! Without any of these a scripted provider plays the model. The port is 3000, or what `PORT`
//! or `--port` says; 0 picks a free one. Answers live on disk, in `unbroken-sessions`, or where
//! `--store` says: `memory`, `disk:PATH`, `redis://…`, `postgres://…`.

use std::{net::Ipv4Addr, time::Duration};

use chat_shared::{Arguments, Model, Page, asked_to_stop, open_store, tools};
use tokio::net::TcpSocket;
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
use warp::{Filter, path::FullPath};

/// How long running answers may go on after the server was asked to stop.
const LAST_WORDS: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Clients hear the public half of a failure; its cause goes to `tracing`.
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::of_process()?;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // A token leaves at once: it doesn't wait until the client has acknowledged the one before.
    socket.set_nodelay(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, arguments.port).into())?;
    let listener = socket.listen(1024)?;

    // Answers outlive this process where their store does. Kept for five minutes past their end.
    let store = open_store(&arguments.store).await?;
    let sessions = Sessions::builder(store).build();

    // Who may read an answer? On this page, whoever knows its id, which is 128 random bits. An
    // application with users would name the policy by which only the owner may.
    let mut durable = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
        // Clients hear of the tools in the first event of each answer.
        .capabilities(Capabilities::new().tools(tools().names()))
        // An answer in whose middle this server stops begins anew when it is back, or on another.
        .recovery(Recovery::restart());
    let model = Model::of_environment()?;
    if model.name == "scripted" {
        durable = durable.open(ClientFields::nothing().field("script")); // requests may bring what it shall say
    }

    // HTTP goes in at the top, chat requests reach the provider at the bottom. Each event that the
    // provider answers is in the log before a browser sees it. In between, tools run that the model
    // asks for, until it answers without.
    let chat = ServiceBuilder::new()
        .layer(durable)
        .layer(ToolLayer::new(tools()))
        .service(model.provider);

    // The page is at every path that nothing else answers. What is mounted is a filter like any other.
    let page = Page::new(model.name);
    let page = warp::get()
        .or(warp::head())
        .unify()
        .and(warp::path::full())
        .map(move |path: FullPath| page.file(path.as_str()));
    let chat = warp::path!("api" / "chat" / ..).and(unbroken_warp::mount(chat));
    let app = chat.or(page);

    println!("listening on http://{}", listener.local_addr()?);
    warp::serve(app)
        .incoming(listener)
        .graceful(async move {
            asked_to_stop().await;
            // Starts nothing more, lets what runs finish, then ends all bodies: else warp would
            // wait for the last reader of the longest answer.
            sessions.shutdown(LAST_WORDS).await;
        })
        .run()
        .await;
    Ok(())
}
