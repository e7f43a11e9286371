//! The conformance suite of the HTTP side, with a case for each rule of the native protocol and for
//! each promise that shows from outside.
//!
//! The suite sends requests to a running server, in any framework, behind any proxy and middleware.
//! The server must
//!
//! * wrap the [scripted provider](unbroken::provider::scripted) in a durable layer;
//! * let requests bring their [`script`](unbroken::durable::ClientFields::field), up to 64 KiB of
//!   [earlier turns](unbroken::durable::ClientFields::history), and up to 4
//!   [tools](unbroken::durable::ClientFields::client_tools) of 4 KiB;
//! * have the feature `tools` of `unbroken`, which checks answers to questions;
//! * let one caller run 64 sessions at once, which is more than the default of
//!   [`Limits::running_per_owner`](field@unbroken::session::Limits::running_per_owner);
//! * speak HTTP/1.1, or HTTP/2 with prior knowledge, without TLS.
//!
//! ```no_run
//! # #[tokio::main]
//! # async fn main() -> Result<(), unbroken::BoxError> {
//! use unbroken_conformance::http::{HttpTarget, suite};
//!
//! let target = HttpTarget::new("http://127.0.0.1:3000/api/chat")?;
//! let report = suite(target).await;
//! assert!(report.passed(), "{report}");
//! # Ok(())
//! # }
//! ```
//!
//! [`HttpTarget`] describes the server: its limits, the headers of a second caller, a way to shut it
//! down. A case that needs a missing description is reported as not applicable, with the reason.
//!
//! # Deployment caveat
//!
//! The suite starts a few hundred sessions and leaves them in the store. Don't run it against a server
//! in use.

mod answer_reader;
mod body;
mod case;
mod cases;
mod decode;
mod fixture;
mod request;
mod scheduler_delay;
mod started;
mod target;

pub use crate::http::{
    case::{CASES, HttpCase},
    target::{HttpTarget, InvalidHttpTarget},
};

use std::{collections::HashMap, sync::Arc};

use tokio::task::JoinSet;

use crate::{
    Finding, Report, Verdict,
    http::{case::CaseOrder, started::StartedSessions},
};

/// The number of cases that run at once. With more, a small machine delays events by itself.
const CONCURRENT_CASES: usize = 6;

/// Runs every case and returns a report in the order of [`CASES`].
///
/// Needs a tokio runtime with a real clock, and takes about ten seconds.
pub async fn suite(target: HttpTarget) -> Report {
    suite_with(target, |_| {}).await
}

/// Runs every case as [`suite`] does, and calls a function with each finding as soon as it is there.
///
/// The calls come in no particular order.
pub async fn suite_with(target: HttpTarget, mut on_finding: impl FnMut(&Finding)) -> Report {
    let target = Arc::new(target);
    let started = StartedSessions::default();
    let mut findings = Vec::new();
    let (mut running, mut under_way) = (JoinSet::new(), HashMap::new());
    let (mut together, mut alone): (Vec<_>, Vec<_>) = CASES
        .iter()
        .enumerate()
        .partition(|(_, case)| case.order == CaseOrder::Together);
    together.reverse();
    loop {
        while running.len() < CONCURRENT_CASES
            && let Some((at, case)) = together.pop()
        {
            let (target, started) = (target.clone(), started.clone());
            let task = running.spawn(async move { case.run_after(target, started).await });
            under_way.insert(task.id(), (at, case));
        }
        let (id, finding) = match running.join_next_with_id().await {
            Some(Ok((id, finding))) => (id, Ok(finding)),
            Some(Err(error)) => (error.id(), Err(error)),
            None => break,
        };
        if let Some((at, case)) = under_way.remove(&id) {
            let finding = finding.unwrap_or_else(|error| Finding {
                name: case.name,
                rule: case.rule,
                verdict: Verdict::Failed(error.to_string()),
            });
            on_finding(&finding);
            findings.push((at, finding));
        }
    }
    alone.sort_by_key(|(_, case)| case.order);
    for (at, case) in alone {
        let finding = case.run_after(target.clone(), started.clone()).await;
        on_finding(&finding);
        findings.push((at, finding));
    }
    findings.sort_by_key(|(at, _)| *at);
    let mut report = Report::default();
    for (_, finding) in findings {
        report.add(finding);
    }
    report
}
