//! The binary encoding of a session's state, for stores that outlive the process.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, BufMut, Bytes, TryGetError};

use crate::{
    log::{Epoch, ErrorCode, Lsn, Outcome, Status},
    store::{
        AbortRequest, Holder, SessionMeta, Token,
        machine::{
            SessionMachine, answers::AnswerLog, lease::LeaseTerm, outbox::OutboxEntry,
            retention::RetentionState,
        },
    },
};

/// The error of bytes that are not the state of a session.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("these bytes are not the state of a session")]
#[non_exhaustive]
pub struct InvalidEncoding;

impl SessionMachine {
    /// Appends the encoded state to `to`.
    ///
    /// Left out are the [`SessionMeta`] and the answers, which a store writes once and not with every
    /// state, and the leases of the owner and of the ending, since their holders are gone when the state is read
    /// again. If the owner has appended nothing and holds the lease, the attempt is counted in advance: write the
    /// state when a lease is given back.
    pub fn encode(&self, to: &mut Vec<u8>) {
        put_time(to, self.created);
        to.put_u128_le(self.token.0);
        put_epoch(to, self.epoch);
        to.put_u32_le(self.attempts_if_lost());
        to.put_u64_le(self.tail.get());
        put_epoch(to, self.tail_epoch);
        let number = status_number(self.status);
        let mark = |given: bool, mark| if given { mark } else { 0 };
        let marks =
            mark(self.sealed.is_some(), WITH_TIME) | mark(self.outbox.is_some(), WITH_ENDING);
        to.put_u8(number | marks);
        if let Some(at) = self.sealed {
            put_time(to, at);
        }
        if let Some(ending) = &self.outbox {
            put_bytes(to, &ending.summary);
            to.put_u32_le(ending.deliveries);
            put_time(to, ending.until);
        }
        match &self.abort {
            None => to.put_u8(0),
            Some(AbortRequest { reason: None }) => to.put_u8(1),
            Some(AbortRequest {
                reason: Some(reason),
            }) => {
                to.put_u8(2);
                put_bytes(to, reason.as_bytes());
            }
        }
        let retention = &self.retention;
        put_time(to, retention.keep_until);
        put_time(to, retention.tombstone);
        put_time(to, retention.deleted.unwrap_or(Duration::MAX));
        to.put_u16_le(u16::try_from(retention.holds.len()).unwrap_or(u16::MAX));
        for (holder, until) in retention.holds.iter().take(usize::from(u16::MAX)) {
            to.put_u64_le(holder.0);
            put_time(to, *until);
        }
    }

    /// Reads a state that [`encode`](Self::encode) wrote from the beginning of `from`, and advances
    /// `from` past it.
    ///
    /// The session has no lease and no answers; see [`with_answers`](Self::with_answers).
    ///
    /// # Errors
    ///
    /// [`InvalidEncoding`] if the bytes are something else.
    pub fn decode(from: &mut &[u8], meta: Arc<SessionMeta>) -> Result<Self, InvalidEncoding> {
        let created = time(from)?;
        let token = Token(from.try_get_u128_le()?);
        let of_now = epoch(from)?;
        let attempts = from.try_get_u32_le()?;
        let tail = Lsn::new(from.try_get_u64_le()?);
        let tail_epoch = epoch(from)?;
        let number = from.try_get_u8()?;
        let sealed = match number & WITH_TIME {
            0 => None,
            _ => Some(time(from)?),
        };
        let outbox = match number & WITH_ENDING {
            0 => None,
            _ => Some(Box::new(OutboxEntry {
                summary: Bytes::copy_from_slice(bytes(from)?),
                due: Duration::ZERO,
                deliveries: from.try_get_u32_le()?,
                until: time(from)?,
            })),
        };
        Ok(Self {
            meta,
            created,
            token,
            epoch: of_now,
            attempts,
            tail,
            tail_epoch,
            status: status(number & !(WITH_TIME | WITH_ENDING))?,
            sealed,
            abort: match from.try_get_u8()? {
                0 => None,
                1 => Some(AbortRequest { reason: None }),
                2 => {
                    let reason = std::str::from_utf8(bytes(from)?).map_err(|_| InvalidEncoding)?;
                    Some(AbortRequest {
                        reason: Some(reason.into()),
                    })
                }
                _ => return Err(InvalidEncoding),
            },
            answers: AnswerLog::default(),
            lease: LeaseTerm::new(Duration::ZERO, Duration::ZERO),
            retention: retention(from)?,
            outbox,
        })
    }
}

fn retention(from: &mut &[u8]) -> Result<RetentionState, InvalidEncoding> {
    let keep_until = time(from)?;
    let tombstone = time(from)?;
    let deleted = Some(time(from)?).filter(|at| *at < Duration::from_nanos(u64::MAX));
    let count = from.try_get_u16_le()?;
    let holds = (0..count).map(|_| Ok((Holder(from.try_get_u64_le()?), time(from)?)));
    Ok(RetentionState {
        keep_until,
        holds: holds.collect::<Result<_, InvalidEncoding>>()?,
        tombstone,
        deleted,
    })
}

/// Set in the number of a status whose time follows. Earlier versions wrote no time of a seal.
const WITH_TIME: u8 = 0x80;
/// Set in the number of a status whose ending in the outbox follows.
const WITH_ENDING: u8 = 0x40;

const STREAMING: u8 = 0;
const WAITING: u8 = 1;
const COMPLETE: u8 = 2;
const ABORTED: u8 = 3;
const PROVIDER: u8 = 4;
const TIMEOUT: u8 = 5;
const INTERRUPTED: u8 = 6;
const LIMIT: u8 = 7;
const INTERNAL: u8 = 8;

fn status_number(status: Status) -> u8 {
    match status {
        Status::Streaming => STREAMING,
        Status::Waiting => WAITING,
        Status::Ended(Outcome::Complete) => COMPLETE,
        Status::Ended(Outcome::Aborted) => ABORTED,
        Status::Ended(Outcome::Error(code)) => match code {
            ErrorCode::Provider => PROVIDER,
            ErrorCode::Timeout => TIMEOUT,
            ErrorCode::Interrupted => INTERRUPTED,
            ErrorCode::Limit => LIMIT,
            ErrorCode::Internal => INTERNAL,
        },
    }
}

fn status(number: u8) -> Result<Status, InvalidEncoding> {
    let error = |code| Status::Ended(Outcome::Error(code));
    Ok(match number {
        STREAMING => Status::Streaming,
        WAITING => Status::Waiting,
        COMPLETE => Status::Ended(Outcome::Complete),
        ABORTED => Status::Ended(Outcome::Aborted),
        PROVIDER => error(ErrorCode::Provider),
        TIMEOUT => error(ErrorCode::Timeout),
        INTERRUPTED => error(ErrorCode::Interrupted),
        LIMIT => error(ErrorCode::Limit),
        INTERNAL => error(ErrorCode::Internal),
        _ => return Err(InvalidEncoding),
    })
}

fn put_epoch(to: &mut Vec<u8>, epoch: Epoch) {
    to.put_u64_le(epoch.counter);
    to.put_u64_le(epoch.bits);
}

fn epoch(from: &mut &[u8]) -> Result<Epoch, InvalidEncoding> {
    Ok(Epoch {
        counter: from.try_get_u64_le()?,
        bits: from.try_get_u64_le()?,
    })
}

/// Writes a time in nanoseconds. A time past 584 years becomes that limit.
fn put_time(to: &mut Vec<u8>, time: Duration) {
    to.put_u64_le(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

fn time(from: &mut &[u8]) -> Result<Duration, InvalidEncoding> {
    Ok(Duration::from_nanos(from.try_get_u64_le()?))
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    to.put_u32_le(u32::try_from(bytes.len()).expect("less than 4 GiB"));
    to.put_slice(bytes);
}

fn bytes<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], InvalidEncoding> {
    let len = usize::try_from(from.try_get_u32_le()?).map_err(|_| InvalidEncoding)?;
    let (bytes, rest) = from.split_at_checked(len).ok_or(InvalidEncoding)?;
    *from = rest;
    Ok(bytes)
}

impl From<TryGetError> for InvalidEncoding {
    fn from(_: TryGetError) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        log::{Digest, ServiceName},
        store::{AfterAppend, DeleteMode, NewSession, Seal},
    };

    fn machines() -> Vec<SessionMachine> {
        let meta = Arc::new(SessionMeta {
            owner: None,
            chat: None,
            service: ServiceName::new("a service"),
            digest: Digest([0; 32]),
            format: 1,
            outbox: None,
        });
        let new = NewSession {
            meta,
            request: bytes::Bytes::new(),
            token: Token(7),
            lease: Duration::from_secs(1),
            tombstone: Duration::from_secs(9),
        };
        let now = Duration::from_secs(1000);
        let new_machine = SessionMachine::new(&new, now);
        let outcomes = [Outcome::Complete, Outcome::Aborted];
        let errors = ErrorCode::ALL.iter().copied().map(Outcome::Error);
        let mut machines: Vec<SessionMachine> = outcomes
            .into_iter()
            .chain(errors)
            .map(|outcome| {
                let mut batch = crate::log::ChunkBuilder::new();
                batch.push(b"a");
                let epoch = new_machine.state(now).epoch;
                let chunk = batch.take(Lsn::new(1), epoch).unwrap();
                let keep = Duration::from_secs(3);
                let mut machine = new_machine.clone();
                machine
                    .append(&chunk, AfterAppend::Seal(Seal::new(outcome, keep)), 9, now)
                    .unwrap();
                machine
            })
            .collect();
        let mut aborted = new_machine.clone();
        let reason = Some("enough".into());
        aborted.abort(AbortRequest { reason }, now).unwrap();
        aborted
            .hold(Holder(3), Duration::from_secs(5), now)
            .unwrap();
        aborted.hold(Holder(4), Duration::MAX, now).unwrap();
        let mut without_reason = new_machine.clone();
        without_reason.abort(AbortRequest::default(), now).unwrap();
        let mut deleted = aborted.clone();
        deleted.delete(DeleteMode::Now, now).unwrap();
        machines.extend([new_machine, aborted, without_reason, deleted]);
        machines
    }

    #[test]
    fn a_decoded_state_equals_the_encoded_one_except_for_its_lease() {
        for machine in machines() {
            let mut written = Vec::new();
            machine.encode(&mut written);
            let mut from = &written[..];
            let read = SessionMachine::decode(&mut from, machine.meta.clone()).unwrap();
            assert!(from.is_empty());
            let mut again = Vec::new();
            read.encode(&mut again);
            assert_eq!(again, written);
            let now = Duration::from_secs(1001);
            let mut given_back = machine.clone();
            given_back.lease = LeaseTerm::new(Duration::ZERO, now);
            assert_eq!(read.state(now).version(), given_back.state(now).version());
            assert_eq!(read.state(now).ended, machine.state(now).ended);
            assert_eq!(read.gone_at(), machine.gone_at());
            assert_eq!(read.tombstone_until(), machine.tombstone_until());
            assert_eq!(read.state(now).lease, crate::store::Lease::Free);
        }
    }

    #[test]
    fn a_truncated_state_is_refused() {
        for machine in machines() {
            let mut written = Vec::new();
            machine.encode(&mut written);
            for len in 0..written.len() {
                assert!(
                    SessionMachine::decode(&mut &written[..len], machine.meta.clone()).is_err()
                );
            }
        }
    }
}
