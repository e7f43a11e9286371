//! The HTTP conformance suite against every framework, under common middleware, and behind a proxy.

mod chat;
mod frameworks;
mod layers;
mod mutants;
mod nginx;
mod vanish;

use std::{env, future::Future, process::ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use unbroken_conformance::{
    Verdict,
    http::{HttpTarget, suite},
};

fn main() -> ExitCode {
    // Cases make the provider panic, hundreds of times.
    std::panic::set_hook(Box::new(|panic| {
        let panic = panic.to_string();
        if !panic.contains("the script wants a panic") {
            eprintln!("{panic}");
        }
    }));
    let mut arguments = Arguments::from_args();
    // A suite keeps a core busy, and some cases measure time.
    arguments.test_threads.get_or_insert(2);
    let trials = [
        frameworks::trials(),
        layers::trials(),
        nginx::trials(),
        mutants::trials(),
    ];
    let trials = trials.into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Creates a trial with a runtime of its own.
fn trial<F>(name: impl Into<String>, run: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Result<(), Failed>>,
{
    Trial::test(name, move || runtime().block_on(run()))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// The cases that don't apply to the service with owners and high limits. `run` runs them against the
/// other services.
const ELSEWHERE: [&str; 4] = [
    "a_list_without_owners_is_403",
    "a_session_over_its_bytes_ends_with_limit",
    "a_session_that_runs_too_long_is_a_timeout",
    "a_provider_that_hangs_is_a_timeout",
];

/// The cases that apply to HTTP/2 only.
const OVER_HTTP2: [&str; 2] = [
    "a_stuck_stream_blocks_no_other_of_its_connection",
    "a_cancelled_stream_ends_no_other_of_its_connection",
];

/// Runs the suite and returns its report as the outcome of a trial.
///
/// Exactly the waived cases and those that don't apply here must be reported as not applicable, so that
/// no case is skipped unnoticed.
async fn judge(target: HttpTarget, waived: &[&str]) -> Result<(), Failed> {
    let over_http1: &[&str] = if target.is_http2() { &[] } else { &OVER_HTTP2 };
    let not_applicable = [&ELSEWHERE[..], over_http1, waived].concat();
    let report = suite(target).await;
    if env::var_os("REPORT").is_some() {
        for finding in report.findings() {
            println!("{finding}");
        }
    }
    for finding in report.findings() {
        let applies = !matches!(finding.verdict, Verdict::NotApplicable(_));
        if applies == not_applicable.contains(&finding.name) {
            let wrong = if applies { "not apply" } else { "apply" };
            return Err(Failed::from(format!(
                "the case should {wrong} here: {finding}"
            )));
        }
    }
    if report.passed() {
        Ok(())
    } else {
        Err(Failed::from(report.to_string()))
    }
}
