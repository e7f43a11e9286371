//! For tests of what is built on `unbroken`, and of other people's stores and servers.
//!
//! * [`http`] is the conformance suite of the HTTP side, for a server in any framework.
//! * [`store`] is the conformance suite of the [`Store`](crate::store::Store) contract.
//! * [`FaultStore`] stands between a store and its user and does what networks do.
//! * [`Rule`] names each rule of the contract; [`Memory::without`](crate::store::Memory::without)
//!   breaks one, to see whether a test notices.

mod fault;
pub mod http;
mod report;
pub mod store;

pub use self::{
    fault::{Fault, FaultStore, Faults, Jump, Op, Rates, Rewind},
    report::{Finding, Report, Verdict},
};
pub use crate::session::rule::Rule;
