//! The conformance suite of the [`Store`](unbroken::store::Store) contract: a case for each rule.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use unbroken::store::Memory;
//! use crate::store;
//!
//! let report = store::suite(|| async { Memory::new() }).await;
//! assert!(report.passed(), "{report}");
//! # }
//! ```
//!
//! A store whose clock is not tokio's implements [`Harness`]. Each case can be a test of its own:
//! see [`store_tests!`](crate::store_tests).
//!
//! # Deployment caveat
//!
//! Cases make sessions under random ids and leave them behind. They sweep: don't point the suite at
//! a store whose expired sessions somebody still wants to look at.

mod case;
mod cases;
mod fixture;
mod harness;

pub use crate::store::{
    case::{CASES, StoreCase},
    harness::Harness,
};

use std::sync::Arc;

use crate::{Report, report};

/// Runs every case, one after the other, and reports on each.
///
/// Runs on tokio; a runtime whose clock is paused makes it quick for a store that lives by tokio's
/// clock.
pub async fn suite(harness: impl Harness) -> Report {
    let harness: Arc<dyn Harness> = Arc::new(harness);
    let mut report = Report::default();
    for case in CASES {
        report.add(case.run(harness.clone()).await);
    }
    report
}
