//! Conformance suites for stores and servers of [`unbroken`].
//!
//! # A store
//!
//! The suite in [`store`] has a case for each rule of the [`Store`](unbroken::store::Store)
//! contract. [`store_tests!`] makes a test function of each case:
//!
//! ```
//! mod conformance {
//!     use unbroken::store::Memory; // Your store takes its place.
//!
//!     unbroken_conformance::store_tests!(
//!         #[tokio::test(start_paused = true)]
//!         || async { Memory::new() }
//!     );
//! }
//! ```
//!
//! The closure creates a store for each case, on tokio's clock. A store on another clock, with a
//! limit of bytes in an append, or whose records a test can corrupt, implements
//! [`store::Harness`]. [`store::suite`] runs all cases in one call and returns a [`Report`].
//!
//! # A server
//!
//! The suite in [`http`] tests a running server over HTTP, in any framework. The server wraps the
//! scripted provider and lets requests bring their script:
//!
//! ```
//! use unbroken::{
//!     access::AnyoneWithTheId,
//!     durable::{ClientFields, DurableLayer},
//!     session::{Limits, Sessions},
//!     store::Memory,
//! };
//!
//! # fn layer() -> DurableLayer {
//! let limits = Limits::default().running_per_owner(64);
//! let sessions = Sessions::builder(Memory::new()).limits(limits).build();
//! DurableLayer::new(sessions, AnyoneWithTheId::new())
//!     .client_fields(ClientFields::nothing().field("script").history(65_536).client_tools(4, 4096))
//! # }
//! ```
//!
//! From a test, with the address at which the service is mounted:
//!
//! ```no_run
//! use unbroken_conformance::http::{HttpTarget, suite};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), unbroken::BoxError> {
//! let target = HttpTarget::new("http://127.0.0.1:3000/api/chat")?;
//! let report = suite(target).await;
//! assert!(report.passed(), "{report}");
//! # Ok(())
//! # }
//! ```
//!
//! From the command line, with the binary of this crate:
//!
//! ```text
//! cargo install --path tests/conformance # in a clone of the repository
//! conformance http://127.0.0.1:3000/api/chat
//! ```
//!
//! # A store that fails
//!
//! [`FaultStore`] wraps a store and loses, delays and repeats calls as a network does, when its
//! [`Faults`] say so. It tests the users of a store. [`BrokenStore`] breaks one rule of the contract,
//! so that a suite can show that it notices. [`delegate_store!`] writes the methods that a decorator
//! of a store delegates.

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

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
