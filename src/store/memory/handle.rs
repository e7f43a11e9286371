use std::fmt;

use super::kept::Kept;
use crate::store::shelf::{Clock, Shelf};

/// Keeps sessions in the memory of the process. A clone is a handle to the same sessions.
///
/// ```
/// use unbroken::store::{Durability, Memory, Store};
///
/// let store = Memory::new();
/// assert_eq!(store.durability(), Durability::Process);
/// ```
#[derive(Clone)]
pub struct Memory {
    pub(super) shelf: Shelf<Kept>,
    pub(super) max_append: usize,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            shelf: Shelf::new(Clock::new()),
            max_append: usize::MAX,
        }
    }
}

/// For tests.
#[cfg(feature = "testing")]
impl Memory {
    /// An empty store whose time is this clock's.
    pub fn with_clock(clock: Clock) -> Self {
        Self {
            shelf: Shelf::new(clock),
            max_append: usize::MAX,
        }
    }

    /// The same sessions, seen through a handle that breaks this rule. A session keeps the rules
    /// of the handle that created it.
    pub fn without(mut self, rule: crate::testing::Rule) -> Self {
        self.shelf.rules = self.shelf.rules.without(rule);
        self
    }

    /// From now on the record at this LSN can't be read, if there is such a session.
    pub fn harm(&self, id: &crate::session::SessionId, lsn: crate::session::Lsn) {
        if let Ok(slot) = self.shelf.slot(id) {
            slot.lock().harmed = Some(lsn);
        }
    }

    /// The same sessions, seen through a handle that takes at most so many bytes at once.
    pub fn with_max_append(mut self, bytes: usize) -> Self {
        self.max_append = bytes;
        self
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("sessions", &self.shelf.index().len())
            .finish_non_exhaustive()
    }
}
