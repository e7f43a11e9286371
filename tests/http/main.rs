//! The promises to HTTP clients, over real sockets.

mod access;
#[path = "../support/client.rs"]
mod client;
mod compact;
mod content;
mod depth;
mod history;
mod hooks;
mod http2;
mod inputs;
mod limits;
mod lost;
mod manage;
mod outage;
mod outbox;
mod page;
mod probing;
mod provider;
mod questions;
mod recordings;
mod recovery;
mod recovery_ways;
mod refusals;
mod release;
mod resume;
mod server;
mod start;
mod stream;
mod tools;
