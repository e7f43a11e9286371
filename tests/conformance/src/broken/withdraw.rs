use unbroken::{
    log::{Epoch, SessionId},
    store::{DeleteMode, Lease, Listed, Store, StoreError, StoreExt},
};

use super::{BrokenStore, ContractRule};

impl<S: Store> BrokenStore<S> {
    pub(super) async fn withdraw_broken(
        &self,
        id: &SessionId,
        epoch: Epoch,
    ) -> Result<(), StoreError> {
        let how = DeleteMode::Withdrawn(epoch);
        let state = self.inner().state(id).await;
        match (self.broken(), state) {
            (Some(ContractRule::WithdrawLeavesNothing), Ok(state))
                if state.epoch == epoch && state.status.outcome().is_none() =>
            {
                self.inner().delete(id, DeleteMode::Now).await
            }
            (Some(ContractRule::WithdrawEpoch), Ok(state)) => {
                let how = DeleteMode::Withdrawn(state.epoch);
                self.inner().delete(id, how).await
            }
            (Some(ContractRule::WithdrawUnsealed), Ok(state))
                if state.status.outcome().is_some() && state.epoch == epoch =>
            {
                self.inner().delete(id, DeleteMode::Now).await
            }
            (Some(ContractRule::WithdrawGone), Err(StoreError::Gone(_)))
            | (Some(ContractRule::WithdrawAgain), Err(StoreError::NotFound)) => Ok(()),
            (Some(ContractRule::WithdrawWithoutLease), Ok(state))
                if !matches!(state.lease, Lease::Held(_)) && state.status.outcome().is_none() =>
            {
                Err(StoreError::Fenced)
            }
            (Some(ContractRule::WithdrawListed), Ok(state)) => {
                let listed = Listed {
                    id: id.clone(),
                    state,
                };
                self.inner().delete(id, how).await?;
                self.add_deleted(listed);
                Ok(())
            }
            _ => self.inner().delete(id, how).await,
        }
    }
}
