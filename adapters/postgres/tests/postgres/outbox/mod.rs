//! The outbox: endings that several servers take, of sessions that are kept, deleted or expired.

mod costs;
mod interrupted;
mod migration;
mod retention;
mod servers;
mod taking;

use libtest_mimic::Trial;

use crate::machine::Machine;

pub(crate) fn trials(machine: &Machine) -> Vec<Trial> {
    let trials = [
        taking::trials(machine),
        retention::trials(machine),
        interrupted::trials(machine),
        costs::trials(machine),
        migration::trials(machine),
    ];
    trials.into_iter().flatten().collect()
}
