//! The state machine of one session, for authors of stores that keep the state in the process.
//!
//! [`SessionMachine`] decides by the rules of the [contract](super#the-contract) which operations a
//! session admits, when it may be claimed, and when it has expired. It has no I/O and no clock: each
//! method takes the time as the span since a moment of the store's choice, which must not change.
//! The machine holds no records and no request. It knows the last LSN and the epoch that wrote that
//! record, and holds the answers that the owner can read.
//!
//! A store is a shell around one machine for each session: it locks the machine, calls the method,
//! and stores the records or the [encoded](SessionMachine::encode) state before it returns the
//! result. [`table`](super::table) has the rest of such a store, with an example.

mod answers;
mod encoding;
mod lease;
mod outbox;
mod retention;
mod session_machine;
#[cfg(test)]
mod tests;

pub use self::{
    answers::{AnswerEffect, AnswerLog},
    encoding::InvalidEncoding,
    outbox::TakenEnding,
    session_machine::{AppendEffect, SessionMachine},
};
