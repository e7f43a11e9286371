use std::time::Duration;

use redis::Value;
use tokio::time::Instant;
use unbroken::{
    BoxError,
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

use super::read::MAX_SMALL_REPLY;

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
        let max = self.inner.max_value.get();
        if new.request.len() > max {
            return self.refuse_request(id, max).await;
        }
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
            keys.ending(id),
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
            .arg(micros(new.tombstone))
            .arg(
                meta.outbox
                    .map_or_else(String::new, |keep| micros(keep).to_string()),
            );
        match self.call(call).await {
            Ok((word, mut reply)) => match word.as_str() {
                "ok" => {
                    let epoch = decode_epoch(&reply.bytes()?)?;
                    // The entries were there before, perhaps those of an earlier session with this id, or
                    // may have been removed again meanwhile, as those of a session that wasn't created.
                    if is_known || began.elapsed() > SLOW {
                        self.index_created(id, &names, new.lease).await;
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
            // The server has refused the request, unread.
            Err(StoreError::TooLarge { max }) => {
                let refused = self.refuse_request(id, max).await;
                let other = match &refused {
                    Ok(Created::Exists(state)) => Some(IndexedNames::of(&state.meta)),
                    _ => None,
                };
                if !refused.as_ref().is_err_and(StoreError::is_unavailable) {
                    self.unindex_refused(id, &names, other.as_ref()).await;
                }
                refused
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the result of a `create` with a request that the server does not take.
    async fn refuse_request(&self, id: &SessionId, max: usize) -> Result<Created, StoreError> {
        match self.look(id).await {
            Ok(look) => Ok(Created::Exists(look.state)),
            Err(StoreError::NotFound) => Err(StoreError::TooLarge { max }),
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
            .arg(keys.turns(id))
            .arg(MAX_SMALL_REPLY)
            .reply_bytes(MAX_SMALL_REPLY);
        let mut reply = self.call_ok(call).await?;
        let request = reply.maybe_bytes()?.unwrap_or_default();
        let state = decode_state(reply.inner()?)?;
        let request = match reply.number::<usize>()? {
            0 => request,
            length => self.large_request(id, length).await?,
        };
        self.index_leases(&[(id, &state)], lease).await;
        Ok(Claimed {
            epoch: state.epoch,
            state,
            request: request.into(),
        })
    }

    /// Reads the request of a session that was claimed just now, which has so many bytes.
    async fn large_request(&self, id: &SessionId, length: usize) -> Result<Vec<u8>, StoreError> {
        // The claim was made; its repetition returns the request.
        let lost = |source: BoxError| StoreError::unavailable(true, source);
        let mut get = redis::cmd("GET");
        get.arg(self.inner.keys.request(id));
        match self.inner.link.send_for(&get, length).await {
            Ok(Value::BulkString(request)) => Ok(request),
            Ok(_) => Err(lost("the request is gone: the session was sealed".into())),
            Err(error) => Err(lost(error.into_source().into())),
        }
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
            .arg(micros(lease.length()))
            .arg(keys.records(id));
        Ok(decode_state(self.call_ok(call).await?.inner()?)?)
    }
}
