use std::time::Duration;

use tokio::time::Instant;
use unbroken::{
    log::{ChatId, Epoch, Owner, SessionId},
    store::{
        Claimed, Created, LeaseChange, NewSession, SessionMeta, SessionState, StoreError, Token,
    },
};

use crate::{
    Redis,
    codec::{decode_epoch, decode_state, encode_epoch, encode_name, micros},
    index::IndexedNames,
    reply::DecodeError,
};

/// The time of a create after which its entries are written again; they are removed after a minute without a
/// session.
const SLOW: Duration = Duration::from_secs(20);

/// Creates and claims sessions, and renews leases.
impl Redis {
    pub(crate) async fn create_now(
        &self,
        id: &SessionId,
        new: NewSession,
    ) -> Result<Created, StoreError> {
        // The indexes come first: a session in none would be lost if this server died.
        let names = IndexedNames::of(&new.meta);
        let began = Instant::now();
        let is_known = self.add_to_indexes(id, &names, new.lease).await?;
        let keys = &self.inner.keys;
        let call = self.inner.scripts.create.on([
            keys.session(id),
            keys.tombstone(id),
            keys.request(id),
            keys.log(id),
            keys.holds(id),
            keys.answers(id),
        ]);
        let meta = &new.meta;
        let call = call
            .arg(&meta.digest.0[..])
            .arg(encode_name(meta.owner.as_ref().map(Owner::as_str)))
            .arg(encode_name(meta.chat.as_ref().map(ChatId::as_str)))
            .arg(meta.service.as_str())
            .arg(meta.format)
            .arg(&new.request[..])
            .arg(&new.token.0.to_be_bytes()[..])
            .arg(&encode_epoch(Epoch::first())[..])
            .arg(micros(new.lease))
            .arg(micros(new.tombstone));
        match self.call(call).await {
            Ok((word, mut reply)) => match word.as_str() {
                "ok" => {
                    let epoch = decode_epoch(&reply.bytes()?)?;
                    // The entries were there before, perhaps those of an earlier session with this id, or
                    // may have been removed again meanwhile, as those of a session that wasn't created.
                    if is_known || began.elapsed() > SLOW {
                        self.index_created(id, &names).await;
                    }
                    Ok(Created::Created(epoch))
                }
                "exists" => {
                    let state = decode_state(reply.inner()?)?;
                    let other = IndexedNames::of(&state.meta);
                    self.unindex_refused(id, &names, Some(&other)).await;
                    Ok(Created::Exists(state))
                }
                _ => Err(DecodeError.into()),
            },
            Err(gone @ StoreError::Gone(_)) => {
                self.unindex_refused(id, &names, None).await;
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
            .on([
                keys.session(id),
                keys.tombstone(id),
                keys.request(id),
                keys.log(id),
            ])
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
        self.index_leases(&[(id, &state)], lease).await;
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
            .on([keys.session(id), keys.tombstone(id)])
            .arg(&encode_epoch(epoch)[..])
            .arg(micros(lease.length()));
        Ok(decode_state(self.call_ok(call).await?.inner()?)?)
    }
}
