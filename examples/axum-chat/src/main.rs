//! A chat page whose answers survive a reload, a second tab and a dropped connection.
//!
//! ```text
//! cargo run -p axum-chat
//! OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_MODEL=qwen3 cargo run -p axum-chat
//! ```
//!
//! Without `OPENAI_BASE_URL` a scripted provider plays the model. The port is 3000, or what `PORT`
//! or `--port` says; 0 picks a free one.

mod page;

use std::{env, net::Ipv4Addr, time::Duration};

use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tracing_subscriber::filter::LevelFilter;
use unbroken::{
    BoxError,
    access::AnyoneWithTheId,
    durable::{DurableLayer, Open},
    provider::{OpenAi, Scripted},
    session::Sessions,
    store::Memory,
};

/// How long running answers may go on after the server was asked to stop.
const LAST_WORDS: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    // Clients hear the public half of a failure; its cause goes to `tracing`.
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .init();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port()?)).await?;

    // Answers live in memory here: as long as this process, and five minutes past their end.
    let sessions = Sessions::builder(Memory::new()).build();

    // Who may read an answer? On this page, whoever knows its id, which is 128 random bits. An
    // application with users would name the policy by which only the owner may.
    let durable = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new());

    // HTTP goes in at the top, chat requests reach the provider at the bottom. Each event that the
    // provider answers is in the log before a browser sees it.
    let app = if env::var_os("OPENAI_BASE_URL").is_some() {
        let chat = ServiceBuilder::new()
            .layer(durable)
            .service(OpenAi::from_env()?);
        page::routes("openai").merge(unbroken_axum::mount("/api/chat", chat))
    } else {
        println!("OPENAI_BASE_URL is not set: a scripted provider plays the model");
        let chat = ServiceBuilder::new()
            .layer(durable.open(Open::nothing().field("script"))) // requests may bring what it shall say
            .service(Scripted::default());
        page::routes("scripted").merge(unbroken_axum::mount("/api/chat", chat))
    };

    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            asked_to_stop().await;
            // Starts nothing more, lets what runs finish, then ends all bodies: else axum would
            // wait for the last reader of the longest answer.
            sessions.shutdown(LAST_WORDS).await;
        })
        .await?;
    Ok(())
}

/// `--port N`, else `PORT`, else 3000.
fn port() -> Result<u16, BoxError> {
    let mut arguments = env::args().skip(1);
    let port = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => env::var("PORT").unwrap_or_else(|_| "3000".to_owned()),
        (Some("--port"), Some(port)) => port,
        _ => return Err("usage: axum-chat [--port N]".into()),
    };
    port.parse()
        .map_err(|_| format!("`{port}` is not a port: 0 to 65535").into())
}

/// Ctrl-C, or what a service manager sends.
async fn asked_to_stop() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
