//! A store that has bad days, when a test says so.

mod delayed;
mod faults;
mod rewind;
mod store;

pub use crate::fault::{
    faults::{Fault, Faults, Op, Rates},
    rewind::{ClockJump, Rewind},
    store::FaultStore,
};
