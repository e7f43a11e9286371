//! Servers with a fault, against which the suite must fail.
//!
//! A mutant is a wrapper around a correct service with one fault. It is caught if the cases that it names
//! fail. Mutants run concurrently, so a case might fail because the machine is busy. A wrapper without a
//! fault runs beside them, for which all these cases must pass.
//!
//! Cases that take long or measure time run against a mutant only if they should catch it.

mod faults;
mod items;
mod mutant;
mod run;
mod server;

use libtest_mimic::Trial;

use self::{mutant::Mutant, run::run};
use crate::trial;

pub(crate) fn trials() -> Vec<Trial> {
    let group = |name: &str, concurrency, mutants: &[&'static [Mutant]]| {
        let mutants = mutants.iter().copied().flatten().collect();
        trial(format!("faults of {name} are found"), move || {
            run(mutants, concurrency)
        })
    };
    // A fault may make a case wait for its timeout; meanwhile others run.
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
        group(
            "inputs",
            12,
            &[faults::INPUTS, faults::CLAIMS, faults::NAMES],
        ),
        group("limits", 3, &[faults::LIMITS]),
        group("pace", 3, &[faults::PACE]),
    ]
}
