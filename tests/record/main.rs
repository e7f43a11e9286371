//! The promises to clients of recorded routes, over real sockets.

mod access;
mod app;
#[path = "../support/client.rs"]
mod client;
mod ending;
mod frameworks;
mod get_starts;
mod idempotency;
mod limits;
mod manage;
mod passing;
mod resume;
mod service;
mod waiting;
