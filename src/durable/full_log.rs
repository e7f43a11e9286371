use std::time::Duration;

use tokio::time::Instant;

use super::refusals;
use crate::{
    dialect::Refusal,
    log::{Chunk, Lsn, Position, Status},
    session::{ReadError, Session},
};

/// A session's log from its start, as far as it was waited for.
pub(super) struct LogSnapshot {
    pub(super) records: Vec<Chunk>,
    pub(super) status: Status,
    pub(super) tail: Lsn,
}

/// The part of a log to wait for.
#[derive(Debug, Clone, Copy)]
pub(super) enum ReadUntil {
    /// The records that are stored now.
    Current,
    /// The records that are stored now, and at least the first one.
    FirstRecord,
    /// The terminal event.
    End,
    /// The terminal event, if it comes within this time.
    EndWithin(Duration),
}

impl LogSnapshot {
    pub(super) async fn read(session: &Session, until: ReadUntil) -> Result<Self, Refusal> {
        let refused = |error: ReadError| refusals::read(&error, Position::START);
        let mut reader = session.reader(Position::START).await.map_err(refused)?;
        let deadline = match until {
            ReadUntil::EndWithin(patience) => Some(Instant::now() + patience),
            ReadUntil::Current | ReadUntil::FirstRecord | ReadUntil::End => None,
        };
        let tail = reader.tail();
        let mut records = Vec::new();
        // Never reads past the end: that would record the terminal event as delivered, and the
        // document may yet be lost.
        while !reader.at_end() {
            let enough = match until {
                ReadUntil::Current => true,
                ReadUntil::FirstRecord => !records.is_empty(),
                ReadUntil::End | ReadUntil::EndWithin(_) => false,
            };
            if enough && reader.position().lsn >= tail {
                break;
            }
            let next = match deadline {
                None => reader.next().await,
                Some(deadline) => match tokio::time::timeout_at(deadline, reader.next()).await {
                    Ok(next) => next,
                    Err(_) => break,
                },
            };
            match next {
                Some(Ok(batch)) => records.push(batch.chunk().clone()),
                // Without the store there is no more to wait for.
                Some(Err(ReadError::Unavailable)) if deadline.is_some() => break,
                Some(Err(error)) => return Err(refused(error)),
                None => break,
            }
        }
        Ok(Self {
            records,
            status: reader.status(),
            tail: reader.tail(),
        })
    }
}
