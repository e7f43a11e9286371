//! The conformance suite of the [`Store`](unbroken::store::Store) contract, with a case for each
//! rule.
//!
//! ```
//! use unbroken::store::Memory;
//! use unbroken_conformance::store;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let report = store::suite(|| async { Memory::new() }).await;
//! assert!(report.passed(), "{report}");
//! # }
//! ```
//!
//! A store on another clock than tokio's implements [`Harness`]. The macro
//! [`store_tests!`](crate::store_tests) makes a test of each case.
//!
//! # Deployment caveat
//!
//! Cases create sessions under random ids and leave them in the store. They also sweep, so the
//! suite removes every expired session of the store that it runs against.

mod case;
mod cases;
mod fixture;
mod harness;
mod longer_steps;

pub use crate::store::{
    case::{CASES, StoreCase},
    harness::Harness,
};

use std::sync::Arc;

use crate::{Report, report};

/// Runs every case, one after the other, and returns a report of all.
///
/// Needs a tokio runtime. A store on tokio's clock is tested faster on a runtime with a paused clock.
pub async fn suite(harness: impl Harness) -> Report {
    let harness: Arc<dyn Harness> = Arc::new(harness);
    let mut report = Report::default();
    for case in CASES {
        report.add(case.run(harness.clone()).await);
    }
    report
}
