//! Each layer where it belongs, and as a control where it doesn't: what breaks there.

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
