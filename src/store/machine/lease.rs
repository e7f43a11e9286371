use std::time::Duration;

use crate::store::Lease;

/// The right to write, for a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeaseTerm {
    // Zero once it was given back: then appends don't take it again.
    length: Duration,
    until: Duration,
}

impl LeaseTerm {
    /// For so long from now; a length of zero is a lease that was given back.
    pub(super) fn new(length: Duration, now: Duration) -> Self {
        Self {
            length,
            until: now.saturating_add(length),
        }
    }

    /// Its full length again, from now.
    pub(super) fn extend(&mut self, now: Duration) {
        *self = Self::new(self.length, now);
    }

    pub(super) fn at(&self, now: Duration) -> Lease {
        if self.length.is_zero() {
            return Lease::Free;
        }
        match self.until.checked_sub(now) {
            Some(left) if !left.is_zero() => Lease::Held(left),
            _ => Lease::Expired,
        }
    }
}
