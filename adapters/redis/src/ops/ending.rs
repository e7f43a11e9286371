use std::time::Duration;

use unbroken::{
    log::{Epoch, SessionId},
    store::{PendingEnding, StoreError},
};

use crate::{
    Redis,
    codec::{decode_state, encode_epoch, from_now, micros},
    index::{IndexedNames, log_deferred},
    reply::{DecodeError, ScriptReply},
};

/// The times of an ending that waits for its delivery.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndingTimes {
    /// The time from which it may be taken, in microseconds from now. Less than 0 once it may.
    pub(crate) due: i64,
    /// The time until it is dropped.
    pub(crate) until: Duration,
}

/// The result of an attempt to take an ending.
#[derive(Debug)]
pub(crate) enum EndingTake {
    /// The caller has it.
    Taken(Box<PendingEnding>),
    /// It may be taken, but has so many bytes, which are more than the caller has asked for. It isn't leased.
    Large(usize),
    /// It may be taken after this time.
    Later(Duration),
    /// It isn't in the outbox any more.
    Over,
}

impl EndingTimes {
    /// Returns the times at the seal, of an ending that is kept for so long.
    pub(super) fn of_seal(keep: Duration) -> Self {
        Self {
            due: 0,
            until: keep,
        }
    }

    /// Decodes the results of `times` in `prelude.lua`.
    pub(super) fn decode(reply: &mut ScriptReply) -> Result<Option<Self>, DecodeError> {
        let (due, until) = (reply.maybe_number()?, reply.maybe_number()?);
        let times = due.zip(until).map(|(due, until)| Self {
            due,
            until: Duration::from_micros(until),
        });
        Ok(times)
    }
}

/// Takes, postpones and removes the ending of a session.
impl Redis {
    /// Takes an ending and leases it, if it may be taken now and its request and its summary have at most so many
    /// bytes.
    pub(crate) async fn take_ending(
        &self,
        id: &SessionId,
        lease: Duration,
        most: usize,
    ) -> Result<EndingTake, StoreError> {
        let call = self.inner.scripts.take.on(self.ending_keys(id));
        let call = call.arg(micros(lease)).arg(most).reply_bytes(most);
        let (word, mut reply) = self.call(call).await?;
        match word.as_str() {
            "ok" => {}
            "bytes" => return Ok(EndingTake::Large(reply.number()?)),
            "later" => return Ok(EndingTake::Later(Duration::from_micros(reply.number()?))),
            "over" => return Ok(EndingTake::Over),
            _ => return Err(DecodeError.into()),
        }
        Ok(EndingTake::Taken(Box::new(PendingEnding {
            id: id.clone(),
            state: decode_state(reply.inner()?)?,
            request: reply.maybe_bytes()?.unwrap_or_default().into(),
            deleted: reply.number::<u8>()? == 1,
            summary: reply.bytes()?.into(),
            delivery: reply.number()?,
            expires_in: Duration::from_micros(reply.number()?),
        })))
    }

    /// Returns the keys that an ending is taken and postponed with.
    fn ending_keys(&self, id: &SessionId) -> [String; 4] {
        let keys = &self.inner.keys;
        [
            keys.session(id),
            keys.tombstone(id),
            keys.request(id),
            keys.ending(id),
        ]
    }

    pub(crate) async fn postpone_now(
        &self,
        id: &SessionId,
        delivery: u32,
        by: Duration,
    ) -> Result<(), StoreError> {
        let call = self.inner.scripts.postpone.on(self.ending_keys(id));
        let call = call.arg(delivery).arg(micros(by));
        let mut reply = self.call_ok(call).await?;
        let names = IndexedNames::decode(&mut reply)?;
        if let Err(error) = self.index_ending(id, &names, from_now(by)).await {
            log_deferred(&error);
        }
        Ok(())
    }

    pub(crate) async fn delivered_now(
        &self,
        id: &SessionId,
        sealed_by: Epoch,
    ) -> Result<(), StoreError> {
        let (keys, scripts) = (&self.inner.keys, &self.inner.scripts);
        let call = scripts.delivered.on([
            keys.session(id),
            keys.tombstone(id),
            keys.log(id),
            keys.request(id),
            keys.ending(id),
        ]);
        let call = call.arg(&encode_epoch(sealed_by)[..]);
        let mut reply = self.call_ok(call).await?;
        if reply.is_empty() {
            // The entry in the index, if a former call has left one, is removed by the next look at it.
            return Ok(());
        }
        // The engine answers -2 where there is nothing.
        let millis = |left: i64| u64::try_from(left).ok().map(Duration::from_millis);
        let (session, tombstone) = (millis(reply.number()?), millis(reply.number()?));
        let names = IndexedNames::decode(&mut reply)?;
        let indexed = match session {
            // One millisecond more, so that the session has expired by then.
            Some(left) => {
                let left = left + Duration::from_millis(1);
                self.index_delivered(id, &names, left).await
            }
            None => self.bury(id, &names, tombstone).await,
        };
        if let Err(error) = indexed {
            log_deferred(&error);
        }
        Ok(())
    }
}
