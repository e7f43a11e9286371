use std::fmt;

use super::session::MemorySession;
use crate::store::table::{SessionTable, StoreClock};

/// A store in the memory of the process. Clones share one store.
///
/// Sessions end with the process. The [shutdown](crate::session::Sessions::shutdown) of a registry that holds the
/// only handle on the store ends those that run; with another handle, such as a clone in another registry, they
/// are handed over. A session that has ended takes up its records, four bytes for each
/// of them, and a few hundred bytes; it has no task and no timer. A session that was deleted or has
/// expired leaves its id, its owner and the digest of its request, for the time of its tombstone;
/// [`max_tombstones`](Self::max_tombstones) bounds their number.
///
/// ```
/// use unbroken::store::{Durability, Memory, Store};
///
/// let store = Memory::new();
/// assert_eq!(store.durability(), Durability::Process);
/// ```
#[derive(Clone)]
pub struct Memory {
    pub(super) table: SessionTable<MemorySession>,
    pub(super) max_append_bytes: usize,
}

impl Memory {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self {
            table: SessionTable::new(StoreClock::new()),
            max_append_bytes: usize::MAX,
        }
    }

    /// Creates an empty store with this clock.
    pub fn with_clock(clock: StoreClock) -> Self {
        Self {
            table: SessionTable::new(clock),
            max_append_bytes: usize::MAX,
        }
    }

    /// Returns the clock that decides the expiry of leases and sessions.
    pub fn clock(&self) -> &StoreClock {
        self.table.clock()
    }

    /// Sets the largest number of bytes of one append through this handle. A larger append gets
    /// [`StoreError::TooLarge`](crate::store::StoreError::TooLarge). Unlimited by default.
    pub fn max_append_bytes(mut self, bytes: usize) -> Self {
        self.max_append_bytes = bytes;
        self
    }

    /// Sets the largest number of tombstones of the store, for all its handles. Default 100,000, which
    /// take up at most 100 MB.
    ///
    /// Beyond that the tombstones that end first are removed: the oldest, where all last equally long. A
    /// late retry of a session without a tombstone starts it again.
    pub fn max_tombstones(self, count: usize) -> Self {
        self.table.index().set_max_tombstones(count);
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
            .field("sessions", &self.table.index().len())
            .finish_non_exhaustive()
    }
}
