//! How the state of a session is written where it survives the process.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, BufMut, TryGetError};

use super::{Life, answers::Answers, lease::Held, retention::Retention};
use crate::{
    session::{Epoch, ErrorCode, Lsn, Outcome, Status, rule::Rules},
    store::{Abort, Holder, Info, Token},
};

/// What was read is not the state of a session.
#[derive(Debug)]
pub(crate) struct NotALife;

impl Life {
    /// Writes all but [`Info`], the answers, which are written once and not with every state, and the
    /// lease: whoever had that is gone when this is read again.
    pub(crate) fn store(&self, to: &mut Vec<u8>) {
        put_time(to, self.created);
        to.put_u128_le(self.token.0);
        put_epoch(to, self.epoch);
        to.put_u32_le(self.attempts);
        to.put_u64_le(self.tail.get());
        put_epoch(to, self.tail_epoch);
        to.put_u8(status_number(self.status));
        match &self.abort {
            None => to.put_u8(0),
            Some(Abort { reason: None }) => to.put_u8(1),
            Some(Abort { reason: Some(why) }) => {
                to.put_u8(2);
                put_bytes(to, why.as_bytes());
            }
        }
        let kept = &self.retention;
        put_time(to, kept.keep_until);
        put_time(to, kept.tombstone);
        put_time(to, kept.deleted.unwrap_or(Duration::MAX));
        to.put_u16_le(u16::try_from(kept.holds.len()).unwrap_or(u16::MAX));
        for (holder, until) in kept.holds.iter().take(usize::from(u16::MAX)) {
            to.put_u64_le(holder.0);
            put_time(to, *until);
        }
    }

    /// Reads what [`store`](Self::store) wrote. Nobody owns the session, and nothing is answered.
    ///
    /// # Errors
    ///
    /// If that is something else.
    pub(crate) fn restored(from: &mut &[u8], info: Arc<Info>) -> Result<Self, NotALife> {
        Ok(Self {
            rules: Rules::default(),
            info,
            created: time(from)?,
            token: Token(from.try_get_u128_le()?),
            epoch: epoch(from)?,
            attempts: from.try_get_u32_le()?,
            tail: Lsn::new(from.try_get_u64_le()?),
            tail_epoch: epoch(from)?,
            status: status(from.try_get_u8()?)?,
            abort: match from.try_get_u8()? {
                0 => None,
                1 => Some(Abort { reason: None }),
                2 => {
                    let why = std::str::from_utf8(bytes(from)?).map_err(|_| NotALife)?;
                    let reason = Some(why.into());
                    Some(Abort { reason })
                }
                _ => return Err(NotALife),
            },
            answers: Answers::default(),
            held: Held::new(Duration::ZERO, Duration::ZERO),
            retention: retention(from)?,
        })
    }
}

fn retention(from: &mut &[u8]) -> Result<Retention, NotALife> {
    let keep_until = time(from)?;
    let tombstone = time(from)?;
    let deleted = Some(time(from)?).filter(|at| *at < Duration::from_nanos(u64::MAX));
    let count = from.try_get_u16_le()?;
    let holds = (0..count).map(|_| Ok((Holder(from.try_get_u64_le()?), time(from)?)));
    Ok(Retention {
        keep_until,
        holds: holds.collect::<Result<_, NotALife>>()?,
        tombstone,
        deleted,
    })
}

const STREAMING: u8 = 0;
const WAITING: u8 = 1;
const COMPLETE: u8 = 2;
const ABORTED: u8 = 3;
// The numbers after this one are those of the codes, in the order of `stored_code`.
const ERROR: u8 = 4;

const CODES: [ErrorCode; 5] = [
    ErrorCode::Provider,
    ErrorCode::Timeout,
    ErrorCode::Interrupted,
    ErrorCode::Limit,
    ErrorCode::Internal,
];

fn status_number(status: Status) -> u8 {
    match status {
        Status::Streaming => STREAMING,
        Status::Waiting => WAITING,
        Status::Ended(Outcome::Complete) => COMPLETE,
        Status::Ended(Outcome::Aborted) => ABORTED,
        Status::Ended(Outcome::Error(code)) => {
            ERROR
                + match code {
                    ErrorCode::Provider => 0,
                    ErrorCode::Timeout => 1,
                    ErrorCode::Interrupted => 2,
                    ErrorCode::Limit => 3,
                    ErrorCode::Internal => 4,
                }
        }
    }
}

fn status(number: u8) -> Result<Status, NotALife> {
    Ok(match number {
        STREAMING => Status::Streaming,
        WAITING => Status::Waiting,
        COMPLETE => Status::Ended(Outcome::Complete),
        ABORTED => Status::Ended(Outcome::Aborted),
        code => {
            let code = CODES.get(usize::from(code - ERROR)).ok_or(NotALife)?;
            Status::Ended(Outcome::Error(*code))
        }
    })
}

fn put_epoch(to: &mut Vec<u8>, epoch: Epoch) {
    to.put_u64_le(epoch.counter);
    to.put_u64_le(epoch.bits);
}

fn epoch(from: &mut &[u8]) -> Result<Epoch, NotALife> {
    Ok(Epoch {
        counter: from.try_get_u64_le()?,
        bits: from.try_get_u64_le()?,
    })
}

/// In nanoseconds; what is longer than 584 years stays that long.
fn put_time(to: &mut Vec<u8>, time: Duration) {
    to.put_u64_le(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

fn time(from: &mut &[u8]) -> Result<Duration, NotALife> {
    Ok(Duration::from_nanos(from.try_get_u64_le()?))
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    to.put_u32_le(u32::try_from(bytes.len()).expect("less than 4 GiB"));
    to.put_slice(bytes);
}

fn bytes<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], NotALife> {
    let len = usize::try_from(from.try_get_u32_le()?).map_err(|_| NotALife)?;
    let (bytes, rest) = from.split_at_checked(len).ok_or(NotALife)?;
    *from = rest;
    Ok(bytes)
}

impl From<TryGetError> for NotALife {
    fn from(_: TryGetError) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        session::{Digest, ServiceName},
        store::{Delete, New, Seal, Then},
    };

    fn lives() -> Vec<Life> {
        let info = Arc::new(Info {
            owner: None,
            chat: None,
            service: ServiceName::new("a service"),
            digest: Digest([0; 32]),
            format: 1,
        });
        let new = New {
            info,
            request: bytes::Bytes::new(),
            token: Token(7),
            lease: Duration::from_secs(1),
            tombstone: Duration::from_secs(9),
        };
        let now = Duration::from_secs(1000);
        let fresh = Life::new(&new, Rules::default(), now);
        let outcomes = [Outcome::Complete, Outcome::Aborted];
        let errors = ErrorCode::ALL.map(Outcome::Error);
        let mut lives: Vec<Life> = outcomes
            .into_iter()
            .chain(errors)
            .map(|outcome| {
                let mut batch = crate::session::ChunkBuilder::new();
                batch.push(b"a");
                let epoch = fresh.state(now).epoch;
                let chunk = batch.take(Lsn::new(1), epoch).unwrap();
                let keep = Duration::from_secs(3);
                let mut life = fresh.clone();
                life.append(&chunk, Then::Seal(Seal { outcome, keep }), 9, now)
                    .unwrap();
                life
            })
            .collect();
        let mut aborted = fresh.clone();
        let reason = Some("enough".into());
        aborted.abort(Abort { reason }, now).unwrap();
        aborted
            .hold(Holder(3), Duration::from_secs(5), now)
            .unwrap();
        aborted.hold(Holder(4), Duration::MAX, now).unwrap();
        let mut deleted = aborted.clone();
        deleted.delete(Delete::Now, now).unwrap();
        lives.extend([fresh, aborted, deleted]);
        lives
    }

    #[test]
    fn a_state_is_read_as_it_was_written_but_for_its_lease() {
        for life in lives() {
            let mut written = Vec::new();
            life.store(&mut written);
            let mut from = &written[..];
            let read = Life::restored(&mut from, life.info.clone()).unwrap();
            assert!(from.is_empty());
            let mut again = Vec::new();
            read.store(&mut again);
            assert_eq!(again, written);
            let now = Duration::from_secs(1001);
            assert_eq!(read.state(now).version(), life.state(now).version());
            assert_eq!(read.due(now), life.due(now));
            assert_eq!(read.state(now).lease, crate::store::Lease::Free);
        }
    }

    #[test]
    fn a_state_that_is_cut_is_none() {
        for life in lives() {
            let mut written = Vec::new();
            life.store(&mut written);
            for len in 0..written.len() {
                assert!(Life::restored(&mut &written[..len], life.info.clone()).is_err());
            }
        }
    }
}
