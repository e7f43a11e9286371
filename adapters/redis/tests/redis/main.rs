//! The store against real servers: that of the machine (at `REDIS_URL`, or the default address), and
//! servers that the tests start. If these are absent, the tests are reported as ignored, with the
//! reason; on a CI machine (`CI` is set) that is a failure.

mod chats;
mod conformance;
mod cost;
mod damage;
mod indexes;
mod layouts;
mod lost_answers;
mod opening;
mod outages;
mod outbox;
mod outbox_index;
mod outbox_load;
mod reference;
mod registries;
mod slow_links;
mod support;
mod tombstones;
mod too_large;
mod wakes;
mod withdrawals;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    // Busy tests come first, then those that mostly sleep and are sensitive to delays.
    let busy = [
        lost_answers::trials(),
        cost::trials(),
        wakes::trials(),
        indexes::trials(),
        chats::trials(),
        tombstones::trials(),
        withdrawals::trials(),
        outbox::trials(),
        outbox_index::trials(),
        outbox_load::trials(),
        damage::trials(),
        layouts::trials(),
        reference::trials(),
    ];
    let idle = [
        opening::trials(),
        outages::trials(),
        slow_links::trials(),
        too_large::trials(),
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

/// Returns true if a test failed.
fn run<const N: usize>(trials: [Vec<Trial>; N], threads: usize) -> bool {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(threads);
    let trials = trials.into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).has_failed()
}
