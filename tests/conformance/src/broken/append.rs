use std::time::Duration;

use unbroken::{
    log::{Chunk, Outcome, SessionId},
    store::{AfterAppend, Appended, Lease, LeaseChange, Store, StoreError, StoreExt},
};

use super::{
    BrokenStore, ContractRule,
    chunk::{emptied, truncated, with_epoch, with_first},
};

/// The additional retention in the store of a session that only a sweep may remove.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl<S: Store> BrokenStore<S> {
    pub(super) async fn append_broken(
        &self,
        id: &SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> Result<Appended, StoreError> {
        if self.breaks(ContractRule::AppendDuplicate)
            && let Ok(state) = self.inner().state(id).await
            && state.tail == chunk.last()
        {
            return Err(match state.status.outcome() {
                _ if state.epoch != chunk.epoch() => StoreError::Fenced,
                Some(_) => StoreError::Sealed,
                None => StoreError::Conflict { tail: state.tail },
            });
        }
        let before = match self.broken() {
            Some(ContractRule::AppendExtends) => Some(self.inner().state(id).await?.lease),
            _ => None,
        };
        let answers = match (self.broken(), &then) {
            (Some(ContractRule::AnswersEnd), AfterAppend::Seal(_)) => {
                self.inner().answers(id, 0).await?
            }
            _ => Vec::new(),
        };
        let chunk = self.chunk_in_store(id, chunk).await;
        let mut appended = self
            .append_through(id, &chunk, self.after_in_store(then.clone()))
            .await?;
        if let Some(lease) = before {
            self.restore_lease(id, &chunk, lease).await;
        }
        let keep = match then {
            AfterAppend::Seal(seal) => self.age(id).await.map(|age| age.saturating_add(seal.keep)),
            _ => None,
        };
        self.overlay(id, |overlay| {
            if let Some(until) = keep {
                overlay.keep(until);
                overlay.answers.extend(answers);
            }
            overlay.tail = Some(chunk.first());
            match self.broken() {
                Some(ContractRule::AppendTellsAbort) => appended.abort = None,
                Some(ContractRule::AbortFirst) if appended.abort.is_some() => {
                    appended.abort.clone_from(&overlay.abort);
                }
                _ => {}
            }
        });
        Ok(appended)
    }

    async fn chunk_in_store(&self, id: &SessionId, chunk: Chunk) -> Chunk {
        match self.broken() {
            Some(ContractRule::ClaimFences) => {
                with_epoch(&chunk, self.epoch_in_store(id, chunk.epoch()).await)
            }
            Some(ContractRule::AppendKept) => emptied(&chunk),
            _ => chunk,
        }
    }

    fn after_in_store(&self, then: AfterAppend) -> AfterAppend {
        match (self.broken(), then) {
            (Some(ContractRule::AppendWaiting), AfterAppend::Waiting) => AfterAppend::Streaming,
            (Some(rule), AfterAppend::Seal(mut seal)) => {
                match rule {
                    ContractRule::SealOutcome => seal.outcome = Outcome::Complete,
                    ContractRule::ExpiryNotEarly => seal.keep /= 2,
                    ContractRule::ExpiryExact => seal.keep = seal.keep.saturating_add(DAY),
                    _ => {}
                }
                AfterAppend::Seal(seal)
            }
            (_, then) => then,
        }
    }

    /// Appends, and evades the store's refusal if that is the broken rule.
    async fn append_through(
        &self,
        id: &SessionId,
        chunk: &Chunk,
        then: AfterAppend,
    ) -> Result<Appended, StoreError> {
        let appended = self.inner().append(id, chunk.clone(), then.clone()).await;
        let other = match (self.broken(), &appended) {
            (Some(ContractRule::AppendFenced), Err(StoreError::Fenced))
            | (Some(ContractRule::AppendSealed), Err(StoreError::Sealed)) => {
                return Ok(Appended::default());
            }
            (Some(ContractRule::AppendEpoch), Err(StoreError::Fenced)) => {
                with_epoch(chunk, self.current_epoch(id, chunk.epoch()).await)
            }
            (Some(ContractRule::AppendConflict), Err(StoreError::Conflict { tail }))
            | (Some(ContractRule::AppendRewound), Err(StoreError::Rewound { tail })) => {
                with_first(chunk, tail.next())
            }
            (Some(ContractRule::AppendTooLarge), Err(StoreError::TooLarge { max })) => {
                truncated(chunk, *max)
            }
            _ => return appended,
        };
        self.inner().append(id, other, then).await
    }

    /// Sets the lease to its value from before an append extended it.
    async fn restore_lease(&self, id: &SessionId, chunk: &Chunk, lease: Lease) {
        let left = match lease {
            Lease::Held(left) => LeaseChange::Extend(left),
            Lease::Expired => LeaseChange::Extend(Duration::from_nanos(1)),
            Lease::Free => LeaseChange::GiveBack,
        };
        let owner = [(id.clone(), chunk.epoch())];
        drop(self.inner().renew(&owner, left).await);
    }
}
