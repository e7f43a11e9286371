use unbroken::{
    log::{Digest, Epoch, SessionId},
    store::{SessionState, Store, StoreError, StoreExt, Tombstone},
};

use super::{BrokenStore, ContractRule};

impl<S: Store> BrokenStore<S> {
    /// Returns the state as the caller sees it.
    pub(super) fn shown(&self, id: &SessionId, state: SessionState) -> SessionState {
        let mut shown = state;
        self.overlay(id, |overlay| match self.broken() {
            Some(ContractRule::ClaimFences) => shown.epoch = overlay.first.unwrap_or(shown.epoch),
            Some(ContractRule::ClaimCounts) => shown.attempts = 0,
            Some(ContractRule::ClaimProgress) => {
                shown.attempts = u32::try_from(shown.epoch.claims()).unwrap_or(u32::MAX);
            }
            Some(ContractRule::EndedSince) => shown.ended = Some(shown.age),
            Some(ContractRule::AppendTail) => shown.tail = overlay.tail.unwrap_or(shown.tail),
            Some(ContractRule::AbortFirst) if shown.abort.is_none() => {}
            Some(ContractRule::AbortFirst | ContractRule::AbortUnsealed) => {
                shown.abort = overlay.abort.clone().or(shown.abort.take());
            }
            _ => shown.answers += u32::try_from(overlay.answers.len()).unwrap_or(u32::MAX),
        });
        shown
    }

    /// Returns the error as the caller sees it.
    pub(super) fn shown_error(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Gone(left) if self.breaks(ContractRule::TombstoneOwner) => {
                StoreError::Gone(Tombstone {
                    owner: None,
                    ..left
                })
            }
            StoreError::Gone(left) if self.breaks(ContractRule::TombstoneDigest) => {
                StoreError::Gone(Tombstone {
                    digest: Digest([0; 32]),
                    ..left
                })
            }
            error => error,
        }
    }

    /// Returns the epoch in the store for an epoch that the caller has.
    pub(super) async fn epoch_in_store(&self, id: &SessionId, epoch: Epoch) -> Epoch {
        let first = self.overlay(id, |overlay| overlay.first);
        if self.breaks(ContractRule::ClaimFences) && first == Some(epoch) {
            self.current_epoch(id, epoch).await
        } else {
            epoch
        }
    }

    /// Returns the session's epoch, or `otherwise` if there is no session.
    pub(super) async fn current_epoch(&self, id: &SessionId, otherwise: Epoch) -> Epoch {
        let state = self.inner().state(id).await;
        state.map_or(otherwise, |state| state.epoch)
    }
}
