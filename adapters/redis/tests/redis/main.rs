//! The store against real servers: the machine's own (at `REDIS_URL`, or where Redis usually is), and
//! ones that the tests start for themselves. Where they are absent the tests are reported as
//! ignored, with the reason; on a CI machine (`CI` is set) that is a failure.

mod conformance;
mod cost;
mod indexes;
mod lost_answers;
mod opening;
mod outages;
mod reference;
mod registries;
mod support;
mod wakes;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    // First what keeps the machine busy, then what mostly sleeps and minds how long.
    let busy = [
        lost_answers::trials(),
        cost::trials(),
        wakes::trials(),
        indexes::trials(),
        reference::trials(),
    ];
    let idle = [
        opening::trials(),
        outages::trials(),
        registries::trials(),
        conformance::trials(),
    ];
    let failed = run(busy, 4) | run(idle, 48);
    support::server::stop_shared();
    if failed {
        ExitCode::from(101)
    } else {
        ExitCode::SUCCESS
    }
}

/// Whether any failed.
fn run<const N: usize>(trials: [Vec<Trial>; N], threads: usize) -> bool {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(threads);
    let trials = trials.into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).has_failed()
}
