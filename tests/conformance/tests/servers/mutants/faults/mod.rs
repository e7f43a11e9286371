//! The faults by subject.

mod access;
mod bodies;
mod connections;
mod cursors;
mod encoding;
mod heads;
mod inputs;
mod limits;
mod order;
mod pace;
mod pages;
mod query;
mod refusals;
mod sessions;

pub(super) use self::{
    access::ACCESS, bodies::BODIES, connections::CONNECTIONS, cursors::CURSORS, encoding::ENCODING,
    heads::HEADS, inputs::INPUTS, limits::LIMITS, order::ORDER, pace::PACE, pages::PAGES,
    refusals::REFUSALS, sessions::SESSIONS,
};
