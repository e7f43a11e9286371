use std::{fmt, sync::Arc};

use super::{Busy, registry::Registry};
use crate::log::Owner;

/// The right to start one session. It counts as a running session until it is dropped, and is given
/// back when the start fails or attaches.
#[must_use = "the session counts as running until the permit is dropped"]
pub struct Permit {
    shared: Arc<Registry>,
    owner: Option<Owner>,
}

impl Permit {
    pub(super) fn new(shared: &Arc<Registry>, owner: Option<&Owner>) -> Result<Self, Busy> {
        if shared.is_closing() {
            return Err(Busy::ShuttingDown);
        }
        shared.running.add(owner, &shared.options.limits)?;
        Ok(Self {
            shared: shared.clone(),
            owner: owner.cloned(),
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.running.remove(self.owner.as_ref());
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}
