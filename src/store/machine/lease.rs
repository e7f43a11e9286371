use std::time::Duration;

use crate::store::Lease;

/// The owner's right to write: its length, and the time at which it ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeaseTerm {
    // Zero once the lease was given back, so that an append does not take it again.
    length: Duration,
    until: Duration,
}

impl LeaseTerm {
    /// Creates a lease of this length from now on; a zero length is a lease that was given back.
    pub(super) fn new(length: Duration, now: Duration) -> Self {
        Self {
            length,
            until: now.saturating_add(length),
        }
    }

    /// Extends the lease to its full length from now on.
    pub(super) fn extend(&mut self, now: Duration) {
        *self = Self::new(self.length, now);
    }

    /// Returns true if the lease was given back.
    pub(super) fn is_free(&self) -> bool {
        self.length.is_zero()
    }

    /// Returns the lease as it is at the time `now`.
    pub(super) fn at(&self, now: Duration) -> Lease {
        if self.is_free() {
            return Lease::Free;
        }
        match self.until.checked_sub(now) {
            Some(left) if !left.is_zero() => Lease::Held(left),
            _ => Lease::Expired,
        }
    }
}
