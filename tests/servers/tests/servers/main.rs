//! Servers as processes, several of them on one store: killed and stopped at moments that nobody
//! chose, and read by clients that go from one to the other.
//!
//! They are on the machine's own engines (`REDIS_URL`, `POSTGRES_URL`, or where these usually are).
//! Where one is absent its tests are reported as ignored, with the reason; on a CI machine (`CI` is
//! set) that is a failure.

mod anywhere;
mod fencing;
mod kills;
mod support;
mod switching;
mod wakes;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    // From what keeps the machine busy to what minds how long it waits.
    let mut waiting = fencing::trials();
    waiting.extend(switching::trials());
    waiting.extend(anywhere::trials());
    let failed = run(kills::trials(), 2) | run(waiting, 8) | run(wakes::trials(), 4);
    if failed {
        ExitCode::from(101)
    } else {
        ExitCode::SUCCESS
    }
}

/// Whether any failed.
fn run(trials: Vec<Trial>, threads: usize) -> bool {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(threads);
    libtest_mimic::run(&arguments, trials).has_failed()
}
