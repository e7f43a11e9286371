use std::time::Duration;

use crate::store::{DeleteMode, Holder};

/// The retention of a session: holds, expiry and tombstone.
#[derive(Debug, Clone)]
pub(super) struct RetentionState {
    // Has an effect only once the session is sealed.
    pub(super) keep_until: Duration,
    // The servers that hold the session, each with the end of its hold; at most one entry a server.
    pub(super) holds: Vec<(Holder, Duration)>,
    pub(super) tombstone: Duration,
    pub(super) deleted: Option<Duration>,
}

/// The remains of a session at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// The session is there.
    Present,
    /// Only the tombstone is left.
    Tombstone,
    /// Nothing is left.
    Nothing,
}

impl RetentionState {
    pub(super) fn new(tombstone: Duration) -> Self {
        Self {
            keep_until: Duration::ZERO,
            holds: Vec::new(),
            tombstone,
            deleted: None,
        }
    }

    pub(super) fn presence(&self, sealed: bool, now: Duration) -> Presence {
        match self.gone_at(sealed) {
            Some(gone) if gone <= now => {
                let ends = gone.saturating_add(self.tombstone);
                if ends <= now {
                    Presence::Nothing
                } else {
                    Presence::Tombstone
                }
            }
            _ => Presence::Present,
        }
    }

    /// Returns the time of the deletion, or else the end of the retention of a sealed session.
    pub(super) fn gone_at(&self, sealed: bool) -> Option<Duration> {
        self.deleted.or(sealed.then_some(self.keep_until))
    }

    /// Keeps the session at least until then.
    pub(super) fn keep(&mut self, until: Duration) {
        self.keep_until = self.keep_until.max(until);
    }

    pub(super) fn hold(&mut self, by: Holder, keep: Duration, now: Duration) {
        let until = now.saturating_add(keep);
        self.holds
            .retain(|&(holder, end)| holder == by || end > now);
        match self.holds.iter_mut().find(|(holder, _)| *holder == by) {
            Some((_, end)) => *end = until.max(*end),
            None => self.holds.push((by, until)),
        }
        self.keep(until);
    }

    /// Returns true if another server's hold prevents this deletion.
    pub(super) fn is_held(&self, how: DeleteMode, now: Duration) -> bool {
        match how {
            DeleteMode::Now => false,
            DeleteMode::Released(by) => self
                .holds
                .iter()
                .any(|&(holder, end)| holder != by && end > now),
        }
    }

    pub(super) fn delete(&mut self, now: Duration) {
        self.deleted = Some(now);
        self.holds = Vec::new();
    }
}
