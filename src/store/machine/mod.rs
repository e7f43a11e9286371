//! The state of one session as a plain state machine: what may follow what, when the session may be
//! claimed, when it is gone.
//!
//! [`SessionMachine`] has no I/O and no clock. Each method takes the time as the span since a moment
//! that the store has chosen and keeps to. The machine holds no records, only where they end and
//! which epoch wrote the last one, and the answers that the owner can still read. A store that keeps
//! its state in the process is a shell around it, usually with
//! [`SessionTable`](super::table::SessionTable).

mod answers;
mod encoding;
mod lease;
mod machine;
mod retention;
#[cfg(test)]
mod tests;

pub use self::{
    answers::{AnswerEffect, AnswerLog},
    encoding::InvalidEncoding,
    machine::{AppendEffect, SessionMachine},
};
