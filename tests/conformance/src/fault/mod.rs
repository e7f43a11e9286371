//! A wrapper that makes a store fail as a test demands.

mod delayed;
mod faults;
mod rewind;
mod store;

pub use crate::fault::{
    faults::{Fault, Faults, Op, Rates},
    rewind::{ClockJump, Rewind},
    store::FaultStore,
};
