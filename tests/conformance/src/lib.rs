//! Conformance suites for what other people build on `unbroken`: stores and servers.
//!
//! * [`store`] is the suite of the [`Store`](unbroken::store::Store) contract.
//! * [`http`] is the suite of the HTTP side, for a server in any framework.
//! * [`FaultStore`] stands between a store and its user and fails as networks do.
//!
//! The binary `conformance` runs the HTTP suite against the URL of a running server.

mod fault;
pub mod http;
mod report;
pub mod store;

pub use crate::{
    fault::{ClockJump, Fault, FaultStore, Faults, Op, Rates, Rewind},
    report::{Finding, Report, Verdict},
};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
