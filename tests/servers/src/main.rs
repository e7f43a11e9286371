//! A server for tests that need several of them, as processes: it can be killed and stopped, it says
//! where it listens, it writes down each call of its provider, and it can be told to do one thing
//! wrong, so that a test can show that it notices.
//!
//! It ends with its standard input, so that none outlives the test that started it.

mod arguments;
mod calls;
mod faults;
mod provider;
mod stores;

use std::{io::Read, process};

use axum::Router;
use http::request::Parts;
use tokio::net::TcpListener;
use tower_layer::Layer as _;
use unbroken::{
    BoxError,
    access::OnlyTheOwner,
    chat::provider_fn,
    durable::{ClientFields, DurableLayer},
    log::Owner,
    session::Sessions,
};

use crate::{arguments::Arguments, calls::Calls, provider::answer};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments = Arguments::of_process()?;
    let calls = Calls::open(&arguments.calls, &arguments.who)?;
    let store = stores::open(&arguments).await?;
    let mut sessions = Sessions::builder(store).lease(arguments.lease);
    if let Some(flaw) = arguments.flaw() {
        sessions = sessions.flaw(flaw);
    }
    let durable = DurableLayer::new(sessions.build(), OnlyTheOwner::new(owner))
        .client_fields(ClientFields::nothing().field("say"))
        .recovery(arguments.recovery()?);
    let chat = durable.layer(provider_fn(move |request| answer(&request, &calls)));
    let app: Router = unbroken_axum::mount("/", chat);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    std::thread::spawn(|| {
        // Nothing is ever written to it.
        let _ = std::io::stdin().read(&mut [0]);
        process::exit(0);
    });
    axum::serve(listener, app).await?;
    Ok(())
}

fn owner(head: &mut Parts) -> Option<Owner> {
    let name = head.headers.get("x-owner")?.to_str().ok()?;
    Some(Owner::new(name))
}
