//! The parts that the chat examples share: the page, the pictures that it may send, the model and its
//! tools, the store, its probe, the command line, and the signal to stop.

mod arguments;
mod model;
mod page;
mod pictures;
mod probes;
mod signal;
mod store;
mod tool_layer;
mod tools;

pub use self::{
    arguments::{Arguments, BadArguments},
    model::Model,
    page::Page,
    pictures::{MAX_BODY, pictures},
    probes::readiness,
    signal::shutdown_signal,
    store::{OpenedStore, open_store},
    tool_layer::tool_layer,
};
