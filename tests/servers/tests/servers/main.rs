//! Several server processes on one store, killed and paused at random moments, and read by clients
//! that switch between them.
//!
//! The engines are those at `REDIS_URL` and `POSTGRES_URL`, or at their usual addresses. The tests of an
//! engine that is not available are reported as ignored, with the reason; they fail if `CI` is set.

mod any_server;
mod endings;
mod fencing;
mod kills;
mod reattach;
mod records;
mod support;
mod switching;
mod wakeups;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    // The tests that load the machine run first, those that measure time last.
    let mut trials = fencing::trials();
    trials.extend(switching::trials());
    trials.extend(any_server::trials());
    trials.extend(records::trials());
    trials.extend(reattach::trials());
    trials.extend(endings::trials());
    let failed = run(kills::trials(), 2) | run(trials, 8) | run(wakeups::trials(), 4);
    if failed {
        ExitCode::from(101)
    } else {
        ExitCode::SUCCESS
    }
}

/// Runs these tests, and returns true if any failed.
fn run(trials: Vec<Trial>, threads: usize) -> bool {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(threads);
    libtest_mimic::run(&arguments, trials).has_failed()
}
