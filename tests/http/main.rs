//! What HTTP clients are promised, over real sockets.

mod access;
mod client;
mod events;
mod hooks;
mod http2;
mod limits;
mod lost;
mod manage;
mod page;
mod provider;
mod refusals;
mod resume;
mod server;
mod start;
mod stream;
