use std::time::Duration;

use super::Memory;
use crate::{session::rule::Rule, store::StoreError};

impl Memory {
    pub(super) fn sweep_now(&self, limit: usize) -> usize {
        let mut swept = 0;
        let limit = if self.shelf.rules.hold(Rule::SweepLimit) {
            limit
        } else {
            usize::MAX
        };
        while swept < limit {
            let now = self.shelf.now();
            let early = !self.shelf.rules.hold(Rule::SweepExpired);
            let until = if early { Duration::MAX } else { now };
            let Some(slot) = self.shelf.index().pop_due(until) else {
                break;
            };
            let mut kept = slot.lock();
            let gone = match kept.life.here(now) {
                _ if early => true,
                Ok(()) => false,
                Err(StoreError::Gone(_)) => {
                    swept += usize::from(!kept.cleared);
                    kept.clear();
                    false
                }
                Err(_) => true,
            };
            let due = kept.life.due(now);
            drop(kept);
            if gone {
                self.shelf.index().remove(slot.number);
                swept += 1;
            } else if let Some(due) = due.filter(|due| *due > now) {
                self.shelf.index().ended(slot.number, due);
            }
        }
        swept
    }
}
