//! The promises of `serve`, over real sockets.

mod basics;
mod client;
mod closed_window;
mod idle_readers;
mod limits;
mod listeners;
mod server;
mod shutdown;
mod two_hundred;
mod unread;
