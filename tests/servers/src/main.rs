//! A server for tests that need several of them, as processes.
//!
//! It prints its address, logs each call of its provider to a file, and may have one fault, which a
//! test must detect. It exits at the end of its standard input, so that it does not outlive the test
//! that started it.

mod arguments;
mod call_log;
mod endings;
mod ends_early;
mod faults;
mod provider;
mod stores;
mod upstream;

use std::{io::Read, process};

use axum::{Router, middleware::map_response};
use http::request::Parts;
use tokio::net::TcpListener;
use tower_layer::Layer as _;
use unbroken::{
    BoxError,
    access::OnlyTheOwner,
    chat::provider_fn,
    durable::{ClientFields, DurableLayer},
    log::Owner,
    session::{Limits, Sessions},
};

use crate::{
    arguments::Arguments, call_log::CallLogWriter, ends_early::ends_early, provider::answer,
};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments = Arguments::parse()?;
    let log = CallLogWriter::open(&arguments.calls, &arguments.name)?;
    let store = stores::open(&arguments).await?;
    // A hundred clients of one owner start at once. How many of them have a place in the same moment depends
    // on the speed of the store.
    let limits = Limits::default().running_per_owner(1024);
    let sessions = Sessions::builder(store)
        .lease(arguments.lease)
        .limits(limits);
    let sessions = sessions.build();
    let durable = DurableLayer::new(sessions, OnlyTheOwner::new(owner))
        .client_fields(ClientFields::nothing().field("answerSpec"))
        .recovery(arguments.recovery()?);
    let durable = endings::told(durable, &arguments.endings, &log)?;
    let mut app: Router = match &arguments.upstream {
        None => {
            let provider = provider_fn(move |request| answer(&request, &log));
            unbroken_axum::mount("/", durable.layer(provider))
        }
        Some((url, in_background)) => {
            let provider = upstream::provider(url, *in_background, log)?;
            unbroken_axum::mount("/", durable.layer(provider))
        }
    };
    if arguments.fault == "ends-early" {
        app = app.layer(map_response(ends_early));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    std::thread::spawn(|| {
        // Returns at the end of the input: nothing is written to it.
        let _ = std::io::stdin().read(&mut [0]);
        process::exit(0);
    });
    axum::serve(listener, app).await?;
    Ok(())
}

fn owner(head: &mut Parts) -> Option<Owner> {
    let name = head.headers.get("x-owner")?.to_str().ok()?;
    name.parse().ok()
}
