use std::time::Duration;

use bytes::Bytes;
use unbroken::{
    log::{Epoch, ServiceName, SessionId},
    store::{DeleteMode, PendingEnding, Store, StoreError, StoreExt},
};

use super::{BrokenStore, ContractRule};

impl<S: Store> BrokenStore<S> {
    pub(super) async fn endings_broken(
        &self,
        service: &ServiceName,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<PendingEnding>, StoreError> {
        let (lease, limit) = match self.broken() {
            Some(ContractRule::EndingsLease) => (Duration::ZERO, limit),
            Some(ContractRule::EndingsReturn) => (Duration::from_secs(24 * 60 * 60), limit),
            Some(ContractRule::EndingsLimit) => (lease, usize::MAX),
            _ => (lease, limit),
        };
        let mut endings = self.inner().endings(service, limit, lease).await?;
        match self.broken() {
            Some(ContractRule::EndingsStored) => endings.clear(),
            Some(ContractRule::EndingsOrder) => endings.reverse(),
            Some(ContractRule::EndingsService) => {
                let other = ServiceName::new(format!("{}, another", service.as_str()));
                endings.extend(self.inner().endings(&other, limit, lease).await?);
            }
            _ => {}
        }
        for ending in &mut endings {
            match self.broken() {
                Some(ContractRule::EndingsSummary) => ending.summary = Bytes::new(),
                Some(ContractRule::EndingsRequest) => ending.request = Bytes::new(),
                Some(ContractRule::EndingsForget) if ending.deleted => {
                    ending.request = Bytes::from_static(b"the request");
                }
                Some(ContractRule::EndingsCount) => ending.delivery = 1,
                Some(ContractRule::EndingsDeleted) => ending.deleted = false,
                Some(ContractRule::EndingsExpire) => ending.expires_in = Duration::MAX,
                _ => {}
            }
        }
        Ok(endings)
    }

    pub(super) async fn postpone_broken(
        &self,
        id: &SessionId,
        delivery: u32,
        by: Duration,
    ) -> Result<(), StoreError> {
        if self.breaks(ContractRule::PostponeMoves) {
            return Ok(());
        }
        let postponed = self.inner().postpone_ending(id, delivery, by).await;
        match (self.broken(), postponed) {
            (Some(ContractRule::PostponeFenced), Err(StoreError::Fenced))
            | (Some(ContractRule::PostponeFound), Err(StoreError::NotFound)) => Ok(()),
            (_, postponed) => postponed,
        }
    }

    pub(super) async fn delivered_broken(
        &self,
        id: &SessionId,
        sealed_by: Epoch,
    ) -> Result<(), StoreError> {
        // No ending has this number.
        let has_ending = async || {
            let asked = self.inner().postpone_ending(id, 0, Duration::ZERO).await;
            matches!(asked, Err(StoreError::Fenced))
        };
        match self.broken() {
            Some(ContractRule::DeliveredRemoves) => Ok(()),
            Some(ContractRule::DeliveredAgain) if !has_ending().await => Err(StoreError::NotFound),
            Some(ContractRule::DeliveredEpoch) => match self.inner().state(id).await {
                Ok(state) => self.inner().delivered(id, state.epoch).await,
                Err(_) => self.inner().delivered(id, sealed_by).await,
            },
            Some(ContractRule::DeliveredTombstone) if has_ending().await => {
                self.inner().delivered(id, sealed_by).await?;
                let gone = self.inner().state(id).await;
                if matches!(gone, Err(StoreError::Gone(_))) {
                    self.add_alias(id, SessionId::random());
                }
                Ok(())
            }
            _ => self.inner().delivered(id, sealed_by).await,
        }
    }

    /// Deletes a session, and with it what the outbox must keep if that is the broken rule.
    pub(super) async fn delete_with_ending(
        &self,
        id: &SessionId,
        how: DeleteMode,
    ) -> Result<(), StoreError> {
        match self.broken() {
            Some(ContractRule::DeleteKeepsEnding) => {
                let state = self.inner().state(id).await;
                self.inner().delete(id, how).await?;
                match state {
                    Ok(state) => self.inner().delivered(id, state.epoch).await,
                    Err(_) => Ok(()),
                }
            }
            Some(ContractRule::DeleteWaits) => self.inner().delete(id, DeleteMode::Now).await,
            _ => self.inner().delete(id, how).await,
        }
    }
}
