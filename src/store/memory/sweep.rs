use super::Memory;
use crate::store::StoreError;

impl Memory {
    /// Removes up to `limit` expired sessions and tombstones, and returns their number.
    pub(super) fn sweep_now(&self, limit: usize) -> usize {
        let mut swept = 0;
        while swept < limit {
            let now = self.table.now();
            let Some(entry) = self.table.index().pop_due(now) else {
                break;
            };
            let mut session = entry.lock();
            let gone = match session.machine.check_present(now) {
                Ok(()) => false,
                Err(StoreError::Gone(_)) => {
                    swept += usize::from(!session.discarded);
                    session.discard();
                    false
                }
                Err(_) => true,
            };
            let due = session.machine.due(now);
            drop(session);
            if gone {
                self.table.index().remove(entry.number);
                swept += 1;
            } else if let Some(due) = due.filter(|due| *due > now) {
                self.table.index().set_due(entry.number, due);
            }
        }
        swept
    }
}
