use std::time::Duration;

use unbroken::{
    log::{Lsn, Position, SessionId},
    store::{RecordPage, SessionMeta, SessionState, StoreError},
};

use super::EndingTimes;
use crate::{
    Redis,
    codec::{EntryDecoder, decode_state},
    reply::{DecodeError, ScriptReply},
    script::LuaCall,
};

/// The state of a session.
#[derive(Debug)]
pub(crate) struct SessionLook {
    pub(crate) state: SessionState,
    /// The time until the end of its retention; `None` until the seal.
    pub(crate) expires_in: Option<Duration>,
    /// The ending, if it waits for its delivery.
    pub(crate) ending: Option<EndingTimes>,
}

/// An LSN beyond every record, which Lua represents exactly.
const MAX_LSN: u64 = (1 << 53) - 1;
/// The most entries of a page, however small they are: the server does nothing else during a script.
const MAX_PAGE_ENTRIES: usize = 8192;
/// The most bytes of a reply that need not be announced. A page without a large record has fewer.
pub(crate) const MAX_SMALL_REPLY: usize = 384 << 10;

impl Redis {
    pub(crate) async fn read_now(
        &self,
        id: &SessionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<RecordPage, StoreError> {
        let keys = &self.inner.keys;
        let scripts = &self.inner.scripts;
        let page_of = |most: usize| {
            scripts
                .read
                .on([keys.session(id), keys.tombstone(id), keys.log(id)])
                .arg(after.lsn.get().min(MAX_LSN))
                .arg(u8::from(after.tag.is_some()))
                .arg(max_bytes)
                .arg(MAX_PAGE_ENTRIES)
                .arg(most)
                .reply_bytes(max_bytes.min(most))
        };
        let (word, mut reply) = self.call(page_of(MAX_SMALL_REPLY)).await?;
        match word.as_str() {
            "ok" => {}
            // A large record has the time that its bytes need, on a connection of its own.
            "bytes" => {
                let bytes: usize = reply.number()?;
                let whole = page_of(usize::MAX).reply_bytes(bytes);
                reply = self.call_ok(whole).await?;
            }
            _ => return Err(DecodeError.into()),
        }
        let state = decode_state(reply.inner()?)?;
        check_format(&state)?;
        let entries = EntryDecoder::new(&reply.bytes()?)?;
        let author = reply.maybe_bytes()?;
        if let Some(tag) = after.tag
            && after.lsn > Lsn::ZERO
        {
            let lsn = after.lsn;
            let author = author.and_then(|id| entries.author(&id));
            if author.ok_or(StoreError::Corrupt { lsn })?.tag() != tag {
                return Err(StoreError::Rewound { tail: state.tail });
            }
        }
        let (ids, records) = (reply.inner()?, reply.inner()?);
        let chunks = entries
            .page(ids, records, after.lsn, max_bytes)
            .map_err(|lsn| StoreError::Corrupt { lsn })?;
        if chunks.is_empty() && state.tail > after.lsn {
            let lsn = after.lsn.next();
            return Err(StoreError::Corrupt { lsn });
        }
        Ok(RecordPage { chunks, state })
    }

    /// Reads the state of a session.
    pub(crate) async fn look(&self, id: &SessionId) -> Result<SessionLook, StoreError> {
        let reply = self.call_ok(self.look_call(id)).await?;
        Ok(SessionLook::decode(reply)?)
    }

    pub(super) fn look_call(&self, id: &SessionId) -> LuaCall<'_> {
        let keys = &self.inner.keys;
        let scripts = &self.inner.scripts;
        let keys = [keys.session(id), keys.tombstone(id), keys.ending(id)];
        scripts.look.on(keys)
    }

    /// Reads the state of a session whose format this version supports.
    pub(crate) async fn look_supported(&self, id: &SessionId) -> Result<SessionLook, StoreError> {
        let look = self.look(id).await?;
        check_format(&look.state)?;
        Ok(look)
    }
}

impl SessionLook {
    pub(super) fn decode(mut reply: ScriptReply) -> Result<Self, DecodeError> {
        Ok(Self {
            state: decode_state(reply.inner()?)?,
            // The engine counts whole milliseconds; one more, so that the session has expired by then.
            expires_in: match u64::try_from(reply.number::<i64>()?) {
                Ok(millis) => Some(Duration::from_millis(millis + 1)),
                Err(_) => None,
            },
            ending: EndingTimes::decode(&mut reply)?,
        })
    }
}

fn check_format(state: &SessionState) -> Result<(), StoreError> {
    match state.meta.format {
        format if format > SessionMeta::LATEST_FORMAT => Err(StoreError::Unsupported { format }),
        _ => Ok(()),
    }
}
