//! What mounted services, and routes of the application's own, give clients of `warp::serve`, over
//! HTTP/1.1 and over HTTP/2 with prior knowledge.

mod client;
mod identify;
mod mounts;
mod routes;
mod server;
mod streams;
