//! The store against a real PostgreSQL: the one at `POSTGRES_URL`, by default
//! `postgres://postgres@127.0.0.1:5432/test`. Without one the tests are reported as ignored, with the
//! reason; on a CI machine (`CI` is set) that is a failure.
//!
//! Each run creates its own schemas and drops them.

mod conformance;
mod counts;
mod crash;
mod fixture;
mod lists;
mod lost_replies;
mod machine;
mod opening;
mod outbox;
mod proxy;
#[path = "../../../../tests/support/slow_link.rs"]
mod slow_link;
mod slow_links;
#[cfg(feature = "tls")]
mod tls;
mod tombstones;
mod tools;
mod wakes;
mod withdrawals;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use machine::Machine;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Most cases only wait for time to pass.
    arguments.test_threads.get_or_insert(24);
    let machine = Machine::new();
    let trials: Vec<Trial> = [
        crash::trials(&machine),
        lost_replies::trials(&machine),
        wakes::trials(&machine),
        opening::trials(&machine),
        slow_links::trials(&machine),
        lists::trials(&machine),
        tombstones::trials(&machine),
        withdrawals::trials(&machine),
        outbox::trials(&machine),
        #[cfg(feature = "tls")]
        tls::trials(&machine),
        conformance::trials(&machine),
    ]
    .into_iter()
    .flatten()
    .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    machine.clean_up();
    conclusion.exit_code()
}
