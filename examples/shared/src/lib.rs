//! What the chat examples share, so that each of them shows its framework and nothing else.

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
    signal::asked_to_stop,
    store::open_store,
    tools::tools,
};
