//! Conformance suites for what other people build on `unbroken`: stores and servers.
//!
//! * [`store`] is the suite of the [`Store`](unbroken::store::Store) contract.
//! * [`http`] is the suite of the HTTP side, for a server in any framework.
//! * [`FaultStore`] stands between a store and its user and fails as networks do.
//! * [`BrokenStore`] breaks one rule of the contract, so that a suite can show that it notices.
//! * [`delegate_store!`] writes the methods that a decorator of a store hands on.
//!
//! The binary `conformance` runs the HTTP suite against the URL of a running server.

mod broken;
mod delegate;
mod fault;
pub mod http;
mod report;
pub mod store;

pub use crate::{
    broken::{BrokenSnapshot, BrokenStore, ContractRule},
    fault::{ClockJump, Fault, FaultStore, Faults, Op, Rates, Rewind},
    report::{Finding, Report, Verdict},
};

#[doc(hidden)]
pub use unbroken as __unbroken;

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
