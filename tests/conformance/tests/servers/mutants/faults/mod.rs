//! The faults by subject.

mod access;
mod bodies;
mod claims;
mod connections;
mod cursors;
mod edited;
mod encoding;
mod heads;
mod inputs;
mod limits;
mod names;
mod order;
mod pace;
mod pages;
mod query;
mod refusals;
mod sessions;

pub(super) use self::{
    access::ACCESS, bodies::BODIES, claims::CLAIMS, connections::CONNECTIONS, cursors::CURSORS,
    encoding::ENCODING, heads::HEADS, inputs::INPUTS, limits::LIMITS, names::NAMES, order::ORDER,
    pace::PACE, pages::PAGES, refusals::REFUSALS, sessions::SESSIONS,
};
