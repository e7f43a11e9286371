use std::{sync::Arc, time::Duration};

use unbroken::store::{Memory, MemorySnapshot};

/// A store that can return to an earlier content, as after a failover to a lagging replica.
pub trait Rewind {
    /// A copy of the content.
    type Snapshot;

    /// Returns a copy of the content.
    fn snapshot(&self) -> Self::Snapshot;

    /// Replaces the content with an earlier copy. The clock is unchanged, and all waits are woken.
    fn restore(&self, snapshot: &Self::Snapshot);
}

/// A store whose clock can be set forward.
pub trait ClockJump {
    /// Sets the clock forward. Wakes no wait.
    fn jump(&self, by: Duration);
}

impl<T: Rewind + ?Sized> Rewind for Arc<T> {
    type Snapshot = T::Snapshot;

    fn snapshot(&self) -> Self::Snapshot {
        (**self).snapshot()
    }

    fn restore(&self, snapshot: &Self::Snapshot) {
        (**self).restore(snapshot);
    }
}

impl<T: ClockJump + ?Sized> ClockJump for Arc<T> {
    fn jump(&self, by: Duration) {
        (**self).jump(by);
    }
}

impl Rewind for Memory {
    type Snapshot = MemorySnapshot;

    fn snapshot(&self) -> MemorySnapshot {
        Self::snapshot(self)
    }

    fn restore(&self, snapshot: &MemorySnapshot) {
        Self::restore(self, snapshot);
    }
}

impl ClockJump for Memory {
    fn jump(&self, by: Duration) {
        self.clock().jump(by);
    }
}
