//! What HTTP clients are promised, over real sockets.

mod access;
mod client;
mod compact;
mod events;
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
mod resume;
mod server;
mod start;
mod stream;
mod tools;
