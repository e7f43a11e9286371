use std::time::Duration;

use unbroken::{
    log::{Chunk, SessionId, Status},
    store::{AfterAppend, Appended, StoreError},
};

use super::EndingTimes;
use crate::{
    Redis,
    codec::{decode_abort, decode_state, encode_chunk, encode_epoch, encode_status, micros},
};

impl Redis {
    pub(crate) async fn append_now(
        &self,
        id: &SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> Result<Appended, StoreError> {
        match self.append_once(id, &chunk, &then).await {
            // The server has refused the records, unread. Without them the script checks the other errors first.
            Err(StoreError::TooLarge { .. }) => self.append_once(id, &chunk, &then).await,
            answer => answer,
        }
    }

    async fn append_once(
        &self,
        id: &SessionId,
        chunk: &Chunk,
        then: &AfterAppend,
    ) -> Result<Appended, StoreError> {
        let max_value = self.inner.max_value.get();
        let max = self.inner.options.max_append_bytes.min(max_value);
        let mut records = Vec::new();
        if chunk.bytes() <= max {
            records = encode_chunk(chunk);
        }
        let (status, keep, mut summary) = match then {
            AfterAppend::Streaming => (Status::Streaming, Duration::ZERO, &[][..]),
            AfterAppend::Waiting => (Status::Waiting, Duration::ZERO, &[][..]),
            AfterAppend::Seal(seal) => (Status::Ended(seal.outcome), seal.keep, &seal.summary[..]),
        };
        if records.len().max(summary.len()) > max_value {
            // The script checks the other errors first, without the records.
            records.clear();
            summary = &[];
        }
        let keys = &self.inner.keys;
        let scripts = &self.inner.scripts;
        let call = scripts
            .append
            .on([
                keys.session(id),
                keys.tombstone(id),
                keys.log(id),
                keys.request(id),
                keys.answers(id),
            ])
            .arg(&encode_epoch(chunk.epoch())[..])
            .arg(chunk.epoch().counter)
            .arg(chunk.first().get())
            .arg(chunk.last().get())
            .arg(records)
            .arg(encode_status(status))
            .arg(micros(keep))
            .arg(keys.records(id))
            .arg(keys.turns(id))
            .arg(summary);
        let mut reply = match self.call_ok(call).await {
            Err(StoreError::TooLarge { .. }) => return Err(StoreError::TooLarge { max }),
            other => other?,
        };
        let abort = reply.maybe_bytes()?;
        if let Some(state) = reply.maybe_inner()? {
            let state = decode_state(state)?;
            let keep = status.outcome().map(|_| keep);
            let ending = state.meta.outbox.filter(|_| keep.is_some());
            let ending = ending.map(EndingTimes::of_seal);
            self.index_status(id, &state, keep, ending).await;
        }
        Ok(Appended {
            abort: abort.map(decode_abort).transpose()?,
            kept: None,
        })
    }
}
