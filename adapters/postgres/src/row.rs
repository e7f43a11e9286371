use std::{error::Error, sync::Arc, time::Duration};

use tokio_postgres::Row;
use unbroken::{
    log::{ChatId, Digest, Epoch, ErrorCode, Lsn, Outcome, Owner, SessionId, Status},
    store::{AbortRequest, Lease, Listed, SessionMeta, SessionState, StoreError, Token, Tombstone},
};

use crate::time::span;

/// The row of a session, and the time at which it was read.
#[derive(Debug, Clone)]
pub(crate) struct SessionRow {
    pub(crate) number: i64,
    pub(crate) id: SessionId,
    meta: Arc<SessionMeta>,
    created: i64,
    pub(crate) token: Token,
    pub(crate) epoch: Epoch,
    pub(crate) attempts: u32,
    pub(crate) tail: Lsn,
    pub(crate) tail_epoch: Epoch,
    status: Status,
    pub(crate) abort: Option<AbortRequest>,
    lease: i64,
    lease_until: i64,
    keep_until: i64,
    now: i64,
    pub(crate) answers: u32,
    deleted: bool,
    ending_until: Option<i64>,
}

/// The number of columns of a session's row.
pub(crate) const COLUMNS: usize = 29;

pub(crate) type RowError = Box<dyn Error + Sync + Send>;

impl SessionRow {
    /// Decodes the columns, which every statement returns in the same order.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Gone`] for a tombstone and for a session that has expired, and
    /// [`StoreError::NotFound`] if the tombstone has expired too. Returns [`StoreError::Corrupt`] with
    /// LSN 0 if the row, not a record, can't be decoded.
    pub(crate) fn new(row: &Row) -> Result<Self, StoreError> {
        let unreadable = |error| {
            tracing::error!(%error, "the row of a session can't be read");
            StoreError::Corrupt { lsn: Lsn::ZERO }
        };
        if let Some(gone) = gone(row).map_err(unreadable)? {
            return Err(gone);
        }
        Self::read(row).map_err(unreadable)
    }

    /// Decodes the columns of a session whose ending waits for its delivery, also if it was deleted.
    pub(crate) fn of_ending(row: &Row) -> Result<Self, RowError> {
        Self::read(row)
    }

    fn read(row: &Row) -> Result<Self, RowError> {
        let aborted: bool = row.try_get(18)?;
        let reason: Option<&[u8]> = row.try_get(19)?;
        let reason = reason.map(text).transpose()?;
        Ok(Self {
            number: row.try_get(0)?,
            id: row.try_get::<_, &str>(1)?.parse()?,
            meta: Arc::new(SessionMeta {
                owner: name(row.try_get(2)?)?.map(Owner::try_from).transpose()?,
                chat: name(row.try_get(3)?)?.map(ChatId::try_from).transpose()?,
                service: text(row.try_get(4)?)?.try_into()?,
                digest: digest(row)?,
                format: row.try_get::<_, i32>(6)?.try_into()?,
                outbox: row.try_get::<_, Option<i64>>(27)?.map(span),
            }),
            created: row.try_get(7)?,
            token: Token(u128::from_be_bytes(row.try_get::<_, &[u8]>(8)?.try_into()?)),
            epoch: epoch(row.try_get(9)?, row.try_get(10)?),
            attempts: row.try_get::<_, i32>(11)?.try_into()?,
            tail: Lsn::new(row.try_get::<_, i64>(12)?.try_into()?),
            tail_epoch: epoch(row.try_get(13)?, row.try_get(14)?),
            status: status(row.try_get(15)?, row.try_get(16)?, row.try_get(17)?)?,
            abort: aborted.then_some(AbortRequest { reason }),
            lease: row.try_get(20)?,
            lease_until: row.try_get(21)?,
            keep_until: row.try_get(22)?,
            now: row.try_get(25)?,
            answers: row.try_get::<_, i32>(26)?.try_into()?,
            deleted: row.try_get::<_, Option<i64>>(23)?.is_some(),
            ending_until: row.try_get(28)?,
        })
    }

    /// Checks that this version supports the format of the session.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Unsupported`] if it doesn't.
    pub(crate) fn check_format(&self) -> Result<(), StoreError> {
        match self.meta.format {
            format if format > SessionMeta::LATEST_FORMAT => {
                Err(StoreError::Unsupported { format })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.status.outcome().is_some()
    }

    /// Returns the time until a sealed session expires.
    pub(crate) fn expires_in(&self) -> Option<Duration> {
        self.is_sealed()
            .then(|| span(self.keep_until.saturating_sub(self.now)))
    }

    /// Returns true if the session was deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Returns the time until the ending is dropped.
    pub(crate) fn ending_expires_in(&self) -> Duration {
        let until = self.ending_until.unwrap_or(self.now);
        span(until.saturating_sub(self.now))
    }

    pub(crate) fn state(&self) -> SessionState {
        SessionState {
            meta: self.meta.clone(),
            age: span(self.now.saturating_sub(self.created)),
            ended: self
                .is_sealed()
                .then(|| span(self.now.saturating_sub(self.lease_until))),
            epoch: self.epoch,
            attempts: self.attempts,
            tail: self.tail,
            status: self.status,
            abort: self.abort.clone(),
            lease: self.lease_left(),
            answers: self.answers,
        }
    }

    fn lease_left(&self) -> Lease {
        match span(self.lease_until.saturating_sub(self.now)) {
            _ if self.is_sealed() || self.lease == 0 => Lease::Free,
            Duration::ZERO => Lease::Expired,
            left => Lease::Held(left),
        }
    }

    pub(crate) fn listed(self) -> Listed {
        Listed {
            state: self.state(),
            id: self.id,
        }
    }
}

/// Returns the error for a row that is not a session any more. A tombstone has an owner and a digest only.
fn gone(row: &Row) -> Result<Option<StoreError>, RowError> {
    let (kind, keep_until): (Option<i16>, i64) = (row.try_get(16)?, row.try_get(22)?);
    let (deleted, tombstone): (Option<i64>, i64) = (row.try_get(23)?, row.try_get(24)?);
    let now: i64 = row.try_get(25)?;
    let expired = kind.is_some() && keep_until <= now;
    let Some(gone) = deleted.or(expired.then_some(keep_until)) else {
        return Ok(None);
    };
    // The tombstone lasts while the ending waits for its delivery.
    let ending_until: Option<i64> = row.try_get(28)?;
    let over = gone
        .saturating_add(tombstone)
        .max(ending_until.unwrap_or(i64::MIN));
    if over <= now {
        return Ok(Some(StoreError::NotFound));
    }
    Ok(Some(StoreError::Gone(Tombstone {
        owner: name(row.try_get(2)?)?.map(Owner::try_from).transpose()?,
        digest: digest(row)?,
    })))
}

fn digest(row: &Row) -> Result<Digest, RowError> {
    Ok(Digest(row.try_get::<_, &[u8]>(5)?.try_into()?))
}

/// Decodes the abort request in the row of an append.
pub(crate) fn abort(row: &Row) -> Option<AbortRequest> {
    let aborted: bool = row.try_get(0).unwrap_or(false);
    let reason: Option<&[u8]> = row.try_get(1).unwrap_or(None);
    aborted.then(|| AbortRequest {
        reason: reason.and_then(|reason| text(reason).ok()),
    })
}

pub(crate) fn epoch(counter: i64, bits: i64) -> Epoch {
    Epoch {
        counter: counter.cast_unsigned(),
        bits: bits.cast_unsigned(),
    }
}

/// The stored numbers of the error codes. They never change.
const ERROR_CODES: [(i16, ErrorCode); 5] = [
    (0, ErrorCode::Provider),
    (1, ErrorCode::Timeout),
    (2, ErrorCode::Interrupted),
    (3, ErrorCode::Limit),
    (4, ErrorCode::Internal),
];

/// Encodes an outcome as the stored kind and code, or returns `None` if it has none.
pub(crate) fn kind_and_code(outcome: Outcome) -> Option<(i16, Option<i16>)> {
    Some(match outcome {
        Outcome::Complete => (0, None),
        Outcome::Aborted => (1, None),
        Outcome::Error(code) => {
            let &(number, _) = ERROR_CODES.iter().find(|(_, it)| *it == code)?;
            (2, Some(number))
        }
        _ => return None,
    })
}

fn status(waiting: bool, kind: Option<i16>, code: Option<i16>) -> Result<Status, RowError> {
    Ok(match (kind, code) {
        (None, _) if waiting => Status::Waiting,
        (None, _) => Status::Streaming,
        (Some(0), _) => Status::Ended(Outcome::Complete),
        (Some(1), _) => Status::Ended(Outcome::Aborted),
        (Some(2), Some(code)) => {
            let known = ERROR_CODES.iter().find(|(number, _)| *number == code);
            let &(_, code) = known.ok_or("an unknown error code")?;
            Status::Ended(Outcome::Error(code))
        }
        _ => return Err("an unknown outcome".into()),
    })
}

fn name(bytes: Option<&[u8]>) -> Result<Option<Arc<str>>, RowError> {
    bytes.map(text).transpose()
}

fn text(bytes: &[u8]) -> Result<Arc<str>, RowError> {
    Ok(std::str::from_utf8(bytes)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_stored_form() {
        let errors = ErrorCode::ALL.iter().map(|&code| Outcome::Error(code));
        for outcome in errors.chain([Outcome::Complete, Outcome::Aborted]) {
            let (kind, code) = kind_and_code(outcome).unwrap();
            let read = status(false, Some(kind), code).unwrap();
            assert_eq!(read, Status::Ended(outcome));
        }
        // The numbers in the rows of every version.
        let numbers = [
            (Outcome::Complete, (0, None)),
            (Outcome::Aborted, (1, None)),
            (Outcome::Error(ErrorCode::Provider), (2, Some(0))),
            (Outcome::Error(ErrorCode::Timeout), (2, Some(1))),
            (Outcome::Error(ErrorCode::Interrupted), (2, Some(2))),
            (Outcome::Error(ErrorCode::Limit), (2, Some(3))),
            (Outcome::Error(ErrorCode::Internal), (2, Some(4))),
        ];
        for (outcome, stored) in numbers {
            assert_eq!(kind_and_code(outcome), Some(stored));
        }
    }
}
