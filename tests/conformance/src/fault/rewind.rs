use std::{sync::Arc, time::Duration};

use unbroken::store::{Memory, MemorySnapshot};

/// A store that can be set back to what it once held, as a failover to a replica that lags does.
pub trait Rewind {
    /// What it held.
    type Snapshot;

    /// What it holds now.
    fn snapshot(&self) -> Self::Snapshot;

    /// Forgets all that happened since. Its clock goes on, and whoever waits is woken.
    fn restore(&self, snapshot: &Self::Snapshot);
}

/// A store whose clock can be set forward.
pub trait ClockJump {
    /// Sets it forward. Nobody is woken.
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
