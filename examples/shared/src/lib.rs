//! The parts that the chat examples share: the page, the model and its tools, the store, the command
//! line, and the signal to stop.

mod arguments;
mod model;
mod page;
mod signal;
mod store;
mod tools;

pub use self::{
    arguments::{Arguments, BadArguments},
    model::Model,
    page::Page,
    signal::shutdown_signal,
    store::open_store,
    tools::tools,
};
