//! The conformance suite of the HTTP side, against every framework, under the middleware that people
//! stack on it, and behind a proxy.

mod chat;
mod frameworks;
mod layers;
mod mutants;
mod nginx;
mod vanish;

use std::{env, future::Future, process::ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use unbroken::testing::{Finding, Report, Verdict};

fn main() -> ExitCode {
    // The suite makes the provider panic on purpose, hundreds of times.
    std::panic::set_hook(Box::new(|panic| {
        let panic = panic.to_string();
        if !panic.contains("the script wants a panic") {
            eprintln!("{panic}");
        }
    }));
    let mut arguments = Arguments::from_args();
    // A suite keeps the machine busy, and some of its cases look at the clock.
    arguments.test_threads.get_or_insert(1);
    let trials = [
        frameworks::trials(),
        layers::trials(),
        nginx::trials(),
        mutants::trials(),
    ];
    let trials = trials.into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A trial on a runtime of its own.
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

/// What can't be told of every one of our servers: they have owners, their limits are those of
/// several services, the cases of HTTP/2 are for HTTP/2, and a proxy answers some itself. Everything
/// else is to be told of all of them.
const NOT_APPLICABLE: [&str; 10] = [
    "without_owners_nothing_is_listed",
    "a_session_has_as_many_bytes_as_it_may",
    "a_session_that_runs_too_long_is_a_timeout",
    "a_provider_that_hangs_is_a_timeout",
    "one_stuck_stream_holds_up_no_other_of_its_connection",
    "a_cancelled_stream_leaves_its_connection_alone",
    "the_head_tells_proxies_not_to_buffer",
    "a_body_that_is_too_slow_is_408",
    "options_say_what_may_be_asked",
    "a_body_that_can_not_go_on_fails",
];

/// What the suite found, as the outcome of a trial.
fn judge(report: &Report) -> Result<(), Failed> {
    if env::var_os("REPORT").is_some() {
        for finding in report.findings() {
            println!("{finding}");
        }
    }
    let untold = |finding: &&Finding| {
        matches!(finding.verdict, Verdict::NotApplicable(_))
            && !NOT_APPLICABLE.contains(&finding.name)
    };
    if let Some(finding) = report.findings().iter().find(untold) {
        return Err(Failed::from(format!("it should apply here: {finding}")));
    }
    if report.passed() {
        Ok(())
    } else {
        Err(Failed::from(report.to_string()))
    }
}
