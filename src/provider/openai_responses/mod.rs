//! A provider for servers that speak OpenAI's Responses API with streaming.

mod builder;
mod calls;
mod cited;
mod config;
mod decoder;
mod item;
mod position;
mod progress;
mod protocol;
mod request;
mod run;
mod service;
mod stream;
mod turn;

pub use self::{
    builder::ResponsesUpstreamBuilder,
    service::{ResponsesFuture, ResponsesUpstream},
    stream::ResponsesStream,
};
