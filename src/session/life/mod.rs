//! The life of a session as a plain state machine: what may follow what, when it may be claimed,
//! when it is gone.
//!
//! [`Life`] has no I/O and no clock: each method is told the time, as the span since any moment
//! that the store has chosen and keeps to. It holds no records, only where they end and who wrote
//! the last one, and the answers that its owner hasn't outlived. Stores that keep their state in the process (memory, disk) are a shell around it.

mod answers;
mod lease;
mod machine;
mod retention;
#[cfg(feature = "disk")]
mod stored;
#[cfg(test)]
mod tests;

#[cfg(feature = "disk")]
pub(crate) use self::answers::Answers;
pub(crate) use self::{answers::Judged, machine::Life};
