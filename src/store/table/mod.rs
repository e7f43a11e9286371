//! A table of sessions, for stores that keep the state of each session in the process.
//!
//! [`SessionTable`] finds sessions by id, lists them, and wakes those who wait for a change. What a
//! store keeps of a session is its own type; it implements [`HasMachine`]. Each entry has a lock of
//! its own, and the index is locked only to look up an entry. The memory store and the disk store
//! are built on this module and on [`machine`](super::machine).

mod changed;
mod clock;
mod entry;
mod index;
mod listing;
mod sessions;

pub use self::{
    clock::StoreClock,
    entry::{HasMachine, TableEntry},
    index::TableIndex,
    sessions::SessionTable,
};
