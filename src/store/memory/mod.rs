//! The store that lives in the process.
//!
//! Nothing survives the process; in exchange a wake-up costs no more than a function call. A
//! session that has ended costs its records, four bytes for each, and a few hundred bytes; no task and no
//! timer.

mod handle;
mod log;
mod session;
mod snapshot;
mod store;
mod sweep;

pub use self::handle::Memory;
pub use self::snapshot::MemorySnapshot;
