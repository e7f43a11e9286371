use std::time::Duration;

use bytes::Bytes;
use unbroken::{
    log::{Epoch, SessionId},
    store::{Claimed, LeaseChange, SessionState, Store, StoreError, StoreExt, Token},
};

use super::{BrokenStore, ContractRule};

impl<S: Store> BrokenStore<S> {
    pub(super) async fn claim_broken(
        &self,
        id: &SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> Result<Claimed, StoreError> {
        let mut seen = self.epoch_in_store(id, seen).await;
        let mut token_in_store = token;
        match self.broken() {
            Some(ContractRule::ClaimWaits) => {
                let owner = [(id.clone(), seen)];
                drop(self.inner().renew(&owner, LeaseChange::GiveBack).await);
            }
            Some(ContractRule::ClaimSeen) => seen = self.current_epoch(id, seen).await,
            Some(ContractRule::ClaimToken) => token_in_store = Token::random(),
            _ => {}
        }
        match self.inner().claim(id, seen, token_in_store, lease).await {
            Err(StoreError::Sealed) if self.breaks(ContractRule::ClaimUnsealed) => {
                let mut state = self.inner().state(id).await?;
                state.epoch = state.epoch.succeed();
                state.attempts += 1;
                Ok(Claimed {
                    epoch: state.epoch,
                    state,
                    request: Bytes::new(),
                })
            }
            Err(error) => Err(error),
            Ok(claimed) => {
                let state = self.shown(id, claimed.state);
                let request = if self.breaks(ContractRule::ClaimRequest) {
                    Bytes::new()
                } else {
                    claimed.request
                };
                Ok(Claimed {
                    epoch: state.epoch,
                    state,
                    request,
                })
            }
        }
    }

    pub(super) async fn renew_broken(
        &self,
        owned: &[(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> Vec<Result<SessionState, StoreError>> {
        let mut answers = Vec::with_capacity(owned.len());
        for (id, epoch) in owned {
            let id = self.enter(id).await;
            let renewed = self.renew_one(&id, *epoch, lease).await;
            let shown = renewed.map(|state| self.shown(&id, state));
            answers.push(shown.map_err(|error| self.shown_error(error)));
        }
        if self.breaks(ContractRule::RenewOrder) {
            answers.reverse();
        }
        answers
    }

    async fn renew_one(
        &self,
        id: &SessionId,
        epoch: Epoch,
        lease: LeaseChange,
    ) -> Result<SessionState, StoreError> {
        let ignored = match self.broken() {
            Some(ContractRule::RenewExtends) => lease != LeaseChange::GiveBack,
            Some(ContractRule::GiveBack) => lease == LeaseChange::GiveBack,
            _ => false,
        };
        if ignored {
            let state = self.inner().state(id).await?;
            return match state.status.outcome() {
                _ if state.epoch != epoch => Err(StoreError::Fenced),
                Some(_) => Err(StoreError::Sealed),
                None => Ok(state),
            };
        }
        let epoch = if self.breaks(ContractRule::RenewEpoch) {
            self.current_epoch(id, epoch).await
        } else {
            self.epoch_in_store(id, epoch).await
        };
        let owner = [(id.clone(), epoch)];
        let mut answers = self.inner().renew(&owner, lease).await;
        answers.pop().unwrap_or(Err(StoreError::NotFound))
    }
}
