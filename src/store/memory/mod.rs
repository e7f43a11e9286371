//! The store that lives in the process.
//!
//! Nothing survives the process; in exchange a wake-up costs no more than a function call. Each
//! session has a lock of its own, and the map of sessions is locked only to look one up. A session
//! that has ended costs its records, four bytes for each, and a few hundred bytes; no task and no
//! timer.

#[cfg_attr(
    not(feature = "testing"),
    expect(unreachable_pub, reason = "public with the feature")
)]
mod clock;
mod handle;
mod index;
mod log;
#[cfg(feature = "testing")]
mod rewind;
mod slot;
mod store;
mod survey;
mod wait;

pub use self::handle::Memory;
#[cfg(feature = "testing")]
pub use self::{clock::Clock, rewind::Snapshot};
