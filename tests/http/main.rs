//! The promises to HTTP clients, over real sockets.

mod access;
mod client;
mod compact;
mod hooks;
mod http2;
mod inputs;
mod limits;
mod lost;
mod manage;
mod page;
mod provider;
mod recovery;
mod refusals;
mod release;
mod resume;
mod server;
mod start;
mod stream;
mod tools;
