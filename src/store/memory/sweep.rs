use super::Memory;
use crate::store::StoreError;

impl Memory {
    pub(super) fn sweep_now(&self, limit: usize) -> usize {
        let mut swept = 0;
        while swept < limit {
            let now = self.table.now();
            let Some(entry) = self.table.index().pop_due(now) else {
                break;
            };
            let mut kept = entry.lock();
            let gone = match kept.machine.check_present(now) {
                Ok(()) => false,
                Err(StoreError::Gone(_)) => {
                    swept += usize::from(!kept.cleared);
                    kept.clear();
                    false
                }
                Err(_) => true,
            };
            let due = kept.machine.due(now);
            drop(kept);
            if gone {
                self.table.index().remove(entry.number);
                swept += 1;
            } else if let Some(due) = due.filter(|due| *due > now) {
                self.table.index().ended(entry.number, due);
            }
        }
        swept
    }
}
