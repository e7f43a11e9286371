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

    /// Returns what remains of a session whose ending is in the outbox until `ending`, if it is.
    pub(super) fn presence(
        &self,
        sealed: bool,
        ending: Option<Duration>,
        now: Duration,
    ) -> Presence {
        if self.gone_at(sealed, ending).is_none_or(|gone| gone > now) {
            return Presence::Present;
        }
        match self.tombstone_until(sealed, ending) {
            Some(ends) if ends <= now => Presence::Nothing,
            _ => Presence::Tombstone,
        }
    }

    /// Returns the time of the deletion, or else the end of the retention of a sealed session.
    pub(super) fn gone_at(&self, sealed: bool, ending: Option<Duration>) -> Option<Duration> {
        let kept = || ending.map_or(self.keep_until, |until| until.max(self.keep_until));
        self.deleted.or_else(|| sealed.then(kept))
    }

    /// Returns the time at which the tombstone ends.
    pub(super) fn tombstone_until(
        &self,
        sealed: bool,
        ending: Option<Duration>,
    ) -> Option<Duration> {
        let ends = self.gone_at(sealed, ending)?.saturating_add(self.tombstone);
        Some(ending.map_or(ends, |until| until.max(ends)))
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
            DeleteMode::Now | DeleteMode::Withdrawn(_) => false,
            DeleteMode::Released(by) => self
                .holds
                .iter()
                .any(|&(holder, end)| holder != by && end > now),
        }
    }

    /// Leaves nothing of the session, not even a tombstone.
    pub(super) fn withdraw(&mut self, now: Duration) {
        self.delete(now);
        self.tombstone = Duration::ZERO;
    }

    pub(super) fn delete(&mut self, now: Duration) {
        self.deleted = Some(now);
        self.holds = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(7);

    #[test]
    fn a_deletion_leaves_a_tombstone_for_its_time_and_a_withdrawal_none() {
        let mut deleted = RetentionState::new(Duration::from_secs(3));
        deleted.hold(Holder(1), Duration::from_secs(60), NOW);
        let mut withdrawn = deleted.clone();
        deleted.delete(NOW);
        withdrawn.withdraw(NOW);
        let at = |state: &RetentionState, seconds| {
            state.presence(false, None, NOW + Duration::from_secs(seconds))
        };
        assert_eq!(at(&deleted, 0), Presence::Tombstone);
        assert_eq!(at(&deleted, 3), Presence::Nothing);
        assert_eq!(at(&withdrawn, 0), Presence::Nothing);
    }
}
