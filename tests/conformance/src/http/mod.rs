//! The conformance suite of the HTTP side: a case for each rule of the native protocol, and for each
//! promise that can be seen from outside.
//!
//! It is a black box. It needs the address of a server whose durable layer wraps the
//! [scripted provider](unbroken::provider::scripted) and lets requests bring their
//! [`script`](unbroken::durable::ClientFields::field); in which framework, behind which proxy and under which
//! middleware, it doesn't care. Over HTTP/1.1 or over HTTP/2 with prior knowledge, without TLS. One
//! caller must be let to run 64 sessions at once, which is more than
//! [`Limits::running_per_owner`](field@unbroken::session::Limits::running_per_owner) is by default.
//!
//! ```no_run
//! # #[tokio::main]
//! # async fn main() -> Result<(), unbroken::BoxError> {
//! use crate::http::{HttpTarget, suite};
//!
//! let target = HttpTarget::new("http://127.0.0.1:3000/api/chat")?;
//! let report = suite(target).await;
//! assert!(report.passed(), "{report}");
//! # Ok(())
//! # }
//! ```
//!
//! What it can't find out for itself it must be [told](HttpTarget): the limits of the server, how to name
//! a second caller, how to make it give up. A case that misses what it needs is reported as not
//! applicable, with the reason.
//!
//! # Deployment caveat
//!
//! The suite leaves sessions behind, and starts a few hundred: not for a server that somebody uses.

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

/// How many cases run at once. More, and a small machine is late for reasons of its own.
const TOGETHER: usize = 6;

/// Runs every case and reports on each, in the order of [`CASES`].
///
/// Runs on tokio, in real time: some ten seconds.
pub async fn suite(target: HttpTarget) -> Report {
    suite_with(target, |_| {}).await
}

/// The same, and tells of each case as soon as it is over, in no particular order.
pub async fn suite_with(target: HttpTarget, mut tell: impl FnMut(&Finding)) -> Report {
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
        while running.len() < TOGETHER
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
            tell(&finding);
            findings.push((at, finding));
        }
    }
    alone.sort_by_key(|(_, case)| case.order);
    for (at, case) in alone {
        let finding = case.run_after(target.clone(), started.clone()).await;
        tell(&finding);
        findings.push((at, finding));
    }
    findings.sort_by_key(|(at, _)| *at);
    let mut report = Report::default();
    for (_, finding) in findings {
        report.add(finding);
    }
    report
}
