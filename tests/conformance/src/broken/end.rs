use std::time::Duration;

use unbroken::{
    log::SessionId,
    store::{AbortRequest, DeleteMode, Holder, Listed, SessionState, Store, StoreError, StoreExt},
};

use super::{BrokenStore, ContractRule};

impl<S: Store> BrokenStore<S> {
    pub(super) async fn abort_broken(
        &self,
        id: &SessionId,
        abort: AbortRequest,
    ) -> Result<SessionState, StoreError> {
        if self.breaks(ContractRule::AbortStored) {
            return self.inner().state(id).await;
        }
        let state = self.inner().abort(id, abort.clone()).await?;
        let sealed = state.status.outcome().is_some();
        if sealed == self.breaks(ContractRule::AbortUnsealed) {
            self.overlay(id, |overlay| overlay.abort = Some(abort));
        }
        Ok(self.shown(id, state))
    }

    pub(super) async fn hold_broken(
        &self,
        id: &SessionId,
        by: Holder,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.inner().hold(id, by, keep).await?;
        if self.breaks(ContractRule::HoldKeeps) {
            return Ok(());
        }
        let Ok(state) = self.inner().state(id).await else {
            return Ok(());
        };
        let until = state.age.saturating_add(keep);
        let sealed = state.status.outcome().is_some();
        self.overlay(id, |overlay| {
            if self.breaks(ContractRule::HoldLengthens) && sealed {
                overlay.keep_until = Some(until);
            } else {
                overlay.keep(until);
            }
        });
        Ok(())
    }

    pub(super) async fn delete_broken(
        &self,
        id: &SessionId,
        how: DeleteMode,
    ) -> Result<(), StoreError> {
        if let DeleteMode::Withdrawn(epoch) = how {
            return self.withdraw_broken(id, epoch).await;
        }
        match self.broken() {
            Some(ContractRule::ListPresent | ContractRule::ChatPresent) => {
                if let Ok(state) = self.inner().state(id).await {
                    let id = id.clone();
                    self.add_deleted(Listed { id, state });
                }
                self.inner().delete(id, how).await
            }
            Some(ContractRule::HoldOthers) => self.inner().delete(id, DeleteMode::Now).await,
            Some(ContractRule::DeleteAgain) => match self.inner().state(id).await {
                Err(error @ StoreError::Gone(_)) => Err(error),
                _ => self.inner().delete(id, how).await,
            },
            _ => self.delete_with_ending(id, how).await,
        }
    }

    /// Returns the age of the session by the store's clock, or `None` if the store has no such session.
    pub(super) async fn age(&self, id: &SessionId) -> Option<Duration> {
        let state = self.inner().state(id).await;
        state.ok().map(|state| state.age)
    }

    /// Deletes the session if it is sealed and the retention of the wrapper is over.
    ///
    /// Returns true if it was deleted.
    pub(super) async fn expire(&self, id: &SessionId) -> bool {
        let Some(until) = self.overlay(id, |overlay| overlay.keep_until) else {
            return false;
        };
        match self.inner().state(id).await {
            Ok(state) if state.status.outcome().is_some() && state.age >= until => {
                self.inner().delete(id, DeleteMode::Now).await.is_ok()
            }
            _ => false,
        }
    }
}
