use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use rmcp::{Peer, RoleClient};

use crate::pool::Pool;

/// The renewal of the list of tools after the changes that a server tells of over one connection. Changes
/// that come while the list is renewed are one more renewal, however many they are.
#[derive(Default)]
pub(crate) struct ListRenewal {
    // While the list is renewed: whether it has changed meanwhile.
    changed: Mutex<Option<bool>>,
}

impl ListRenewal {
    /// Renews the list after a change, unless that is being done already.
    pub(crate) async fn run(&self, pool: &Weak<Pool>, peer: &Peer<RoleClient>) {
        if !self.begins() {
            return;
        }
        loop {
            if let Some(pool) = pool.upgrade()
                && let Some(listed) = pool.listed.upgrade()
            {
                let _ = listed.renew(&pool, peer).await; // it traces what fails
            }
            if !self.begins_again() {
                return;
            }
        }
    }

    /// Returns true if the list has to be renewed now, and not by a renewal that runs already.
    fn begins(&self) -> bool {
        let mut changed = self.changed();
        let begins = changed.is_none();
        *changed = Some(!begins);
        begins
    }

    /// Returns true if the list has to be renewed once more.
    fn begins_again(&self) -> bool {
        let mut changed = self.changed();
        let again = *changed == Some(true);
        *changed = again.then_some(false);
        again
    }

    fn changed(&self) -> MutexGuard<'_, Option<bool>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
