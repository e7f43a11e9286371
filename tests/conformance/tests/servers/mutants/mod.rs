//! Servers with a fault, which the suite must find: what says that it can fail.
//!
//! A mutant is a wrapper around the service that is right, and differs from it in one thing. It is
//! caught if the cases that are named with it fail. Mutants run beside one another, so a case might fail
//! for want of a processor: beside them runs a wrapper that changes nothing, for which all of these
//! cases must pass.
//!
//! A mutant isn't shown the cases that take long or look at the clock, unless they are to catch it.

mod faults;
mod items;
mod mutant;
mod run;
mod server;

use libtest_mimic::Trial;

use self::{mutant::Mutant, run::run};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    let group = |name: &str, at_once, mutants: &[&'static [Mutant]]| {
        let mutants = mutants.iter().copied().flatten().collect();
        trial(format!("faults of {name} are found"), move || {
            run(mutants, at_once)
        })
    };
    // Where a fault makes a case wait for what never comes, others may go on.
    vec![
        group("streams", 12, &[faults::ORDER, faults::ENCODING]),
        group("heads", 12, &[faults::HEADS, faults::REFUSALS]),
        group(
            "sessions",
            12,
            &[
                faults::SESSIONS,
                faults::BODIES,
                faults::ACCESS,
                faults::CURSORS,
                faults::PAGES,
                faults::CONNECTIONS,
            ],
        ),
        group("inputs", 12, &[faults::INPUTS]),
        group("limits", 3, &[faults::LIMITS]),
        group("pace", 3, &[faults::PACE]),
    ]
}
