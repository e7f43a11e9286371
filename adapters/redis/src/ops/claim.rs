use std::time::Duration;

use unbroken::{
    log::{Epoch, SessionId},
    store::{
        Claimed, Created, LeaseChange, NewSession, SessionMeta, SessionState, StoreError, Token,
    },
};

use crate::{
    Redis,
    codec::{decode_epoch, decode_state, encode_epoch, encode_meta, micros},
    reply::DecodeError,
};

/// Creates and claims sessions, and renews leases.
impl Redis {
    pub(crate) async fn create_now(
        &self,
        id: &SessionId,
        new: NewSession,
    ) -> Result<Created, StoreError> {
        // The indexes come first: a session in none would be lost if this server died.
        self.add_to_indexes(id, &new.meta, new.lease).await?;
        let keys = &self.inner.keys;
        let call = self.inner.scripts.create.on([
            keys.session(id),
            keys.info(id),
            keys.request(id),
            keys.log(id),
            keys.holds(id),
            keys.answers(id),
        ]);
        let call = call
            .arg(encode_meta(&new.meta))
            .arg(&new.request[..])
            .arg(&new.token.0.to_be_bytes()[..])
            .arg(&encode_epoch(Epoch::first())[..])
            .arg(micros(new.lease))
            .arg(micros(new.tombstone))
            .arg(new.meta.format);
        match self.call(call).await {
            Ok((word, mut reply)) => match word.as_str() {
                "ok" => Ok(Created::Created(decode_epoch(&reply.bytes()?)?)),
                "exists" => {
                    let state = decode_state(reply.inner()?)?;
                    self.remove_from_indexes(id, &new.meta, Some(&state.meta))
                        .await;
                    Ok(Created::Exists(state))
                }
                _ => Err(DecodeError.into()),
            },
            Err(gone @ StoreError::Gone(_)) => {
                self.remove_from_indexes(id, &new.meta, None).await;
                Err(gone)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn claim_now(
        &self,
        id: &SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> Result<Claimed, StoreError> {
        let keys = &self.inner.keys;
        let scripts = &self.inner.scripts;
        let call = scripts
            .claim
            .on([keys.session(id), keys.info(id), keys.request(id)])
            .arg(&encode_epoch(seen)[..])
            .arg(&token.0.to_be_bytes()[..])
            .arg(&encode_epoch(seen.succeed())[..])
            .arg(micros(lease))
            .arg(SessionMeta::LATEST_FORMAT)
            .arg(keys.records(id))
            .arg(keys.turns(id));
        let mut reply = self.call_ok(call).await?;
        let request = reply.maybe_bytes()?.unwrap_or_default();
        let state = decode_state(reply.inner()?)?;
        self.index_lease(std::slice::from_ref(id), lease).await;
        Ok(Claimed {
            epoch: state.epoch,
            state,
            request: request.into(),
        })
    }

    pub(crate) async fn renew_one(
        &self,
        id: &SessionId,
        epoch: Epoch,
        lease: LeaseChange,
    ) -> Result<SessionState, StoreError> {
        let keys = &self.inner.keys;
        let scripts = &self.inner.scripts;
        let call = scripts
            .renew
            .on([keys.session(id), keys.info(id)])
            .arg(&encode_epoch(epoch)[..])
            .arg(micros(lease.length()));
        Ok(decode_state(self.call_ok(call).await?.inner()?)?)
    }
}
