//! The store in the memory of the process.

mod handle;
mod log;
mod session;
mod snapshot;
mod store;

pub use self::{handle::Memory, snapshot::MemorySnapshot};
