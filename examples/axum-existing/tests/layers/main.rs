//! Tests of the order of layers. Controls put a layer elsewhere and show the failure.

mod auth;
mod chat;
mod client;
mod compression;
mod cors;
mod limits;
mod panics;
mod server;
mod shutdown;
mod timeouts;
