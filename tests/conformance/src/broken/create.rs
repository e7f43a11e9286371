use std::{sync::Arc, time::Duration};

use unbroken::{
    log::SessionId,
    store::{Created, NewSession, SessionMeta, Store, StoreError, Token},
};

use super::{BrokenStore, ContractRule};

impl<S: Store> BrokenStore<S> {
    pub(super) async fn create_broken(
        &self,
        outer: &SessionId,
        id: &SessionId,
        mut new: NewSession,
    ) -> Result<Created, StoreError> {
        match self.broken() {
            Some(ContractRule::CreateToken) => new.token = Token::random(),
            Some(ContractRule::Format) => {
                let meta = SessionMeta::clone(&new.meta);
                let format = meta.format.min(SessionMeta::LATEST_FORMAT);
                new.meta = Arc::new(SessionMeta { format, ..meta });
            }
            Some(ContractRule::EndingsDropped) => {
                let meta = SessionMeta::clone(&new.meta);
                let outbox = meta.outbox.map(|keep| keep.saturating_mul(1000));
                new.meta = Arc::new(SessionMeta { outbox, ..meta });
            }
            Some(ContractRule::EndingsWanted) => {
                let meta = SessionMeta::clone(&new.meta);
                let outbox = meta.outbox.or(Some(Duration::from_secs(60 * 60)));
                new.meta = Arc::new(SessionMeta { outbox, ..meta });
            }
            Some(ContractRule::TombstoneStands) => new.tombstone = Duration::ZERO,
            Some(ContractRule::TombstoneEnds) => new.tombstone = new.tombstone.saturating_mul(1000),
            _ => {}
        }
        let created = self.inner().create(id, new.clone()).await;
        match (self.broken(), created) {
            (Some(ContractRule::CreateOnce), Ok(Created::Exists(_)))
            | (Some(ContractRule::CreateUnderTombstone), Err(StoreError::Gone(_))) => {
                let alias = SessionId::random();
                let created = self.inner().create(&alias, new).await;
                self.add_alias(outer, alias);
                created
            }
            (Some(ContractRule::CreateExists), Ok(Created::Exists(state))) => {
                Ok(Created::Created(state.epoch))
            }
            (_, Ok(Created::Exists(state))) => Ok(Created::Exists(self.shown(id, state))),
            (_, Ok(Created::Created(epoch))) => {
                self.overlay(id, |overlay| overlay.created(epoch));
                Ok(Created::Created(epoch))
            }
            (_, Err(error)) => Err(error),
        }
    }
}
