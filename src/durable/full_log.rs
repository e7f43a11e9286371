use std::time::Duration;

use tokio::time::Instant;

use super::{
    exchange::{Exchange, Served},
    refusals,
};
use crate::{
    access::Action,
    dialect::{FullLog, Refusal, ResponseData},
    log::{Chunk, Lsn, Position, Status},
    session::{ReadError, Session},
};

/// A session's log, as far as it was waited for.
pub(super) struct LogSnapshot {
    pub(super) records: Vec<Chunk>,
    pub(super) status: Status,
    pub(super) tail: Lsn,
}

/// How much of a log to wait for.
#[derive(Debug, Clone, Copy)]
pub(super) enum ReadUntil {
    /// What is there by now.
    Now,
    /// The same, and at least the first record.
    Begun,
    /// The terminal event.
    End,
    /// The terminal event, if it comes in this time.
    EndWithin(Duration),
}

impl Exchange {
    /// A document of a session's whole log.
    pub(super) async fn whole(&self, whole: FullLog) -> Served {
        let Some(session) = self.find(&whole.session, Action::Read).await? else {
            return Ok(self.answer(&ResponseData::Idle));
        };
        let until = if whole.wait_for_end {
            ReadUntil::End
        } else {
            ReadUntil::Now
        };
        self.document(&session, until, false).await
    }

    /// The same, of a session that was found or started.
    pub(super) async fn document(
        &self,
        session: &Session,
        until: ReadUntil,
        started: bool,
    ) -> Served {
        let log = log(session, until).await?;
        Ok(self.answer(&ResponseData::FullLog {
            session: self.view(session, log.status, log.tail),
            records: &log.records,
            started,
        }))
    }
}

pub(super) async fn log(session: &Session, until: ReadUntil) -> Result<LogSnapshot, Refusal> {
    let refused = |error: ReadError| refusals::read(&error, Position::START);
    let mut reader = session.reader(Position::START).await.map_err(refused)?;
    let deadline = match until {
        ReadUntil::EndWithin(patience) => Some(Instant::now() + patience),
        ReadUntil::Now | ReadUntil::Begun | ReadUntil::End => None,
    };
    let tail = reader.tail();
    let mut records = Vec::new();
    // Not read past the end: that would count as a client that has had it all, and whether this one
    // will is not known here.
    while !reader.at_end() {
        let enough = match until {
            ReadUntil::Now => true,
            ReadUntil::Begun => !records.is_empty(),
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
            Some(batch) => records.push(batch.map_err(refused)?.chunk().clone()),
            None => break,
        }
    }
    Ok(LogSnapshot {
        records,
        status: reader.status(),
        tail: reader.tail(),
    })
}
