//! The outbox: the endings of sessions, delivered at least once.
//!
//! A seal puts the ending of a session into the outbox of the store, in the same write. Every server with
//! a handler of the session's service takes endings out of it, and removes each once the handler has it.
//! An ending whose server dies meanwhile is taken again when its lease is over.

mod deliver;
mod deliveries;
mod handler;
mod stored_ending;

pub(super) use self::{deliver::deliver_endings, deliveries::OutboxDeliveries};
pub use self::{handler::EndingHandler, stored_ending::StoredEnding};
