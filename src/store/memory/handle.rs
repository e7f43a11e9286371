use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use super::{
    clock::Clock,
    index::Index,
    slot::{Slot, lock},
};
use crate::{
    session::{SessionId, rule::Rules},
    store::StoreError,
};

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
    pub(super) clock: Clock,
    pub(super) rules: Rules,
    pub(super) max_append: usize,
    index: Arc<Mutex<Index>>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            clock: Clock::new(),
            rules: Rules::default(),
            max_append: usize::MAX,
            index: Arc::default(),
        }
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.now()
    }

    pub(super) fn slot(&self, id: &SessionId) -> Result<Arc<Slot>, StoreError> {
        self.index().slot(id).cloned().ok_or(StoreError::NotFound)
    }
}

/// For tests.
#[cfg(feature = "testing")]
impl Memory {
    /// An empty store whose time is this clock's.
    pub fn with_clock(clock: Clock) -> Self {
        Self {
            clock,
            ..Self::new()
        }
    }

    /// The same sessions, seen through a handle that breaks this rule. A session keeps the rules
    /// of the handle that created it.
    pub fn without(mut self, rule: crate::testing::Rule) -> Self {
        self.rules = self.rules.without(rule);
        self
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
            .field("sessions", &self.index().len())
            .finish_non_exhaustive()
    }
}
