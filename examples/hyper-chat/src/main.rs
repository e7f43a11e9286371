//! A chat page whose answers survive a reload, a second tab and a dropped connection, on plain hyper.
//!
//! ```text
//! cargo run -p hyper-chat
//! OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_MODEL=qwen3 cargo run -p hyper-chat
//! OLLAMA_MODEL=qwen3 cargo run -p hyper-chat
//! ```
//!
//! Without any of these a scripted provider plays the model. The port is 3000, or what `PORT`
//! or `--port` says; 0 picks a free one. Answers live on disk, in `unbroken-sessions`, or where
//! `--store` says: `memory`, `disk:PATH`, `redis://…`, `postgres://…`.

use std::{convert::Infallible, net::Ipv4Addr, time::Duration};

use bytes::Bytes;
use chat_shared::{Arguments, Model, Page, asked_to_stop, open_store, tools};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming};
use tokio::net::TcpListener;
use tower::{BoxError, Service, ServiceBuilder, service_fn};
use tracing_subscriber::filter::LevelFilter;
use unbroken::{
    access::AnyoneWithTheId,
    chat::Capabilities,
    durable::{ClientFields, DurableLayer, Recovery},
    session::Sessions,
    tools::ToolLayer,
};
use unbroken_hyper::{ServerLimits, mount, serve};

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
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;

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

    // A chat is a tower service: HTTP requests go in at the top, chat requests reach the provider at
    // the bottom. Each event that the provider answers is in the log before a browser sees it. In
    // between, tools run that the model asks for, until it answers without.
    let chat = ServiceBuilder::new()
        .layer(durable)
        .layer(ToolLayer::new(tools()))
        .service(model.provider);

    // hyper serves one service; this one is the chat below a path, and the page everywhere else.
    let app = mount("/api/chat", chat).or(page(Page::new(model.name)));

    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app)
        .limits(ServerLimits::default().connections(1000))
        .with_graceful_shutdown(asked_to_stop())
        // At the end: starts nothing more, lets what runs finish, then ends all bodies. Else the
        // server would wait for the last reader of the longest answer.
        .hand_over(sessions, LAST_WORDS)
        .await;
    Ok(())
}

/// The page, at every path that nothing else answers.
fn page(
    page: Page,
) -> impl Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone {
    service_fn(move |request: Request<Incoming>| {
        let file = page.file(request.uri().path());
        async move { Ok(file.map(Full::new)) }
    })
}
