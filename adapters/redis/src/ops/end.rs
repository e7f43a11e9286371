use std::time::Duration;

use unbroken::{
    log::{Epoch, SessionId},
    store::{AbortRequest, DeleteMode, Holder, SessionState, StoreError},
};

use super::EndingTimes;
use crate::{
    Redis,
    codec::{decode_state, encode_abort, encode_epoch, micros},
    index::{IndexedNames, log_deferred},
};

/// Aborts, holds and deletes sessions.
impl Redis {
    pub(crate) async fn abort_now(
        &self,
        id: &SessionId,
        abort: AbortRequest,
    ) -> Result<SessionState, StoreError> {
        let keys = &self.inner.keys;
        let scripts = &self.inner.scripts;
        let call = scripts
            .abort
            .on([keys.session(id), keys.tombstone(id)])
            .arg(encode_abort(&abort))
            .arg(keys.records(id))
            .arg(keys.turns(id));
        Ok(decode_state(self.call_ok(call).await?.inner()?)?)
    }

    pub(crate) async fn hold_now(
        &self,
        id: &SessionId,
        by: Holder,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let keys = &self.inner.keys;
        let scripts = &self.inner.scripts;
        let call = scripts
            .hold
            .on([
                keys.session(id),
                keys.tombstone(id),
                keys.log(id),
                keys.holds(id),
            ])
            .arg(by.0)
            .arg(micros(keep));
        self.call_ok(call).await.map(drop)
    }

    pub(crate) async fn delete_now(
        &self,
        id: &SessionId,
        how: DeleteMode,
    ) -> Result<(), StoreError> {
        let keys = &self.inner.keys;
        let call = self.inner.scripts.delete.on(self.keys_of(id));
        let call = match how {
            DeleteMode::Now => call.arg(""),
            DeleteMode::Released(by) => call.arg(by.0),
            DeleteMode::Withdrawn(epoch) => return self.withdraw(id, epoch).await,
        };
        let call = call.arg(keys.records(id)).arg(keys.turns(id));
        let mut reply = self.call_ok(call).await?;
        if !reply.is_empty() {
            let tombstone = Duration::from_micros(reply.number()?);
            let ending = EndingTimes::decode(&mut reply)?;
            let names = IndexedNames::decode(&mut reply)?;
            let indexed = match ending {
                Some(ending) => self.index_deleted(id, &names, ending).await,
                None => self.bury(id, &names, Some(tombstone)).await,
            };
            if let Err(error) = indexed {
                log_deferred(&error);
            }
        }
        Ok(())
    }

    async fn withdraw(&self, id: &SessionId, epoch: Epoch) -> Result<(), StoreError> {
        let names = IndexedNames::of(&self.look(id).await?.state.meta);
        let scores = self.indexed_scores(id, &names).await?;
        let keys = &self.inner.keys;
        let call = self.inner.scripts.withdraw.on(self.keys_of(id));
        let call = call.arg(&encode_epoch(epoch)[..]);
        self.call_ok(call.arg(keys.records(id)).arg(keys.turns(id)))
            .await?;
        self.unindex_withdrawn(id, &names, scores).await;
        Ok(())
    }

    /// Returns the keys of a session that a deletion removes, and its tombstone.
    fn keys_of(&self, id: &SessionId) -> [String; 7] {
        let keys = &self.inner.keys;
        [
            keys.session(id),
            keys.tombstone(id),
            keys.log(id),
            keys.request(id),
            keys.holds(id),
            keys.answers(id),
            keys.ending(id),
        ]
    }
}
