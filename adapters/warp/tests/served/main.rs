//! Mounted services and routes of an application, as clients of `warp::serve` see them, over HTTP/1.1
//! and over HTTP/2 with prior knowledge.

mod client;
mod deployment;
mod identify;
mod mounts;
mod routes;
mod server;
mod streams;
