use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use unbroken::{
    log::SessionId,
    store::{Lease, Seen, SessionState, Store, StoreError, StoreExt, Version},
};

use super::{BrokenStore, ContractRule};

/// The longest wait that the contract allows.
const CAP: Duration = Duration::from_secs(2);

impl<S: Store> BrokenStore<S> {
    pub(super) async fn changed_broken(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        match self.broken() {
            Some(
                ContractRule::WakeAppend
                | ContractRule::WakeGiveBack
                | ContractRule::WakeAbort
                | ContractRule::WakeAnswer
                | ContractRule::WakeClaim
                | ContractRule::WakeDelete
                | ContractRule::WakeWithdraw,
            ) => self.changed_without_wakeup(id, seen, within).await,
            Some(ContractRule::WakeLevel) => {
                let now = self.inner().state(id).await?.version();
                self.inner().changed(id, like(now, seen), within).await
            }
            Some(ContractRule::WakeWithin) => self.inner().changed(id, seen, CAP).await,
            Some(ContractRule::WakeCap) => self.changed_uncapped(id, seen, within).await,
            Some(
                ContractRule::ClaimFences
                | ContractRule::AppendTail
                | ContractRule::AbortUnsealed
                | ContractRule::AnswerUnsealed
                | ContractRule::AnswerFits
                | ContractRule::AnswersEnd,
            ) => self.changed_shown(id, seen, within).await,
            _ => {
                let state = self.inner().changed(id, seen, within).await?;
                Ok(self.shown(id, state))
            }
        }
    }

    /// Waits for a change of the state that the caller sees.
    async fn changed_shown(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        let deadline = Instant::now() + within.min(CAP);
        let mut state = self.inner().state(id).await?;
        loop {
            let version = state.version();
            let shown = self.shown(id, state);
            let left = deadline.saturating_duration_since(Instant::now());
            if seen.is_behind(&shown.version()) || left.is_zero() {
                return Ok(shown);
            }
            state = self.inner().changed(id, like(version, seen), left).await?;
        }
    }

    /// Waits, and ignores the wake-up of the broken rule.
    async fn changed_without_wakeup(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        let deadline = Instant::now() + within.min(CAP);
        let mut last = self.inner().state(id).await?;
        if seen.is_behind(&last.version()) {
            return Ok(last);
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let seen = like(last.version(), seen);
            let state = match self.inner().changed(id, seen, left).await {
                Err(error)
                    if matches!(error, StoreError::Gone(_))
                        && self.breaks(ContractRule::WakeDelete)
                        || matches!(error, StoreError::NotFound)
                            && self.breaks(ContractRule::WakeWithdraw) =>
                {
                    sleep_until(deadline).await;
                    return self.inner().state(id).await;
                }
                changed => changed?,
            };
            if Instant::now() >= deadline || self.wakes(&last, &state) {
                return Ok(state);
            }
            if state.status.outcome().is_some() {
                // An owner's wait on a sealed session always ends at once.
                sleep_until(deadline).await;
                return self.inner().state(id).await;
            }
            last = state;
        }
    }

    /// Returns true if something changed whose wake-up rule is not broken.
    fn wakes(&self, before: &SessionState, now: &SessionState) -> bool {
        let append = before.tail != now.tail || before.status != now.status;
        let abort = before.abort.is_some() != now.abort.is_some();
        // A seal removes the answers.
        let answer = before.answers != now.answers && !append;
        let claim = before.epoch != now.epoch;
        let give_back = before.lease != now.lease && now.lease == Lease::Free && !claim && !append;
        append && !self.breaks(ContractRule::WakeAppend)
            || abort && !self.breaks(ContractRule::WakeAbort)
            || answer && !self.breaks(ContractRule::WakeAnswer)
            || give_back && !self.breaks(ContractRule::WakeGiveBack)
            || claim && !self.breaks(ContractRule::WakeClaim)
    }

    /// Waits beyond the longest wait of the contract.
    async fn changed_uncapped(
        &self,
        id: &SessionId,
        seen: Seen,
        within: Duration,
    ) -> Result<SessionState, StoreError> {
        let began = Instant::now();
        loop {
            let left = within.saturating_sub(began.elapsed());
            let state = self.inner().changed(id, seen, left).await?;
            if seen.is_behind(&state.version()) || began.elapsed() >= within {
                return Ok(state);
            }
        }
    }
}

/// Returns this version for the kind of waiter that `other` has.
fn like(version: Version, other: Seen) -> Seen {
    if other.is_owner() {
        Seen::Owner(version)
    } else {
        Seen::Reader(version)
    }
}
