//! The outbox: endings that wait for their delivery, in the rows of their sessions.

use std::time::Duration;

use bytes::Bytes;
use tokio_postgres::{Row, types::ToSql};
use unbroken::{
    log::{Epoch, ServiceName, SessionId},
    store::{PendingEnding, StoreError},
};

use crate::{
    db::{SMALL, StatementError},
    postgres::PostgresInner,
    row::{COLUMNS, RowError, SessionRow},
    time::micros,
    wake::ChangeKind,
    write::{MAX_TRIES, contended},
};

/// The most endings that one statement takes.
const ENDINGS_BATCH: usize = 64;

/// The most bytes of the endings that one call takes, unless the first has more. The slowest link that counts as
/// working by default moves them in 8 seconds.
const CALL_BYTES: i64 = 2 << 20;

/// The columns after those of a session: the bytes of all endings up to this one.
const BYTES: usize = COLUMNS + 3;
/// The number of endings that were there to be taken, up to the number that was wanted.
const FOUND: usize = COLUMNS + 6;

/// The row of an ending that was taken.
struct EndingRow {
    session: SessionRow,
    summary: Bytes,
    delivery: u32,
    /// The request, or the number of its bytes if it isn't in the reply.
    request: Result<Bytes, usize>,
}

impl PostgresInner {
    pub(crate) async fn endings(
        &self,
        service: &ServiceName,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<PendingEnding>, StoreError> {
        let (service, lease) = (service.as_str().as_bytes(), micros(lease));
        let reply_bytes = i64::try_from(SMALL).unwrap_or(i64::MAX);
        let mut endings = Vec::new();
        let (mut left, mut left_bytes, mut minimum) = (limit, CALL_BYTES, 1_i64);
        while left > 0 && left_bytes > 0 {
            let wanted = left.min(ENDINGS_BATCH);
            let count = i64::try_from(wanted).unwrap_or(i64::MAX);
            let params: [&(dyn ToSql + Sync); 6] = [
                &service,
                &count,
                &lease,
                &left_bytes,
                &minimum,
                &reply_bytes,
            ];
            let rows = match self.db.query(&self.sql.endings, &params).await {
                Ok(rows) => rows,
                // Those that were taken before are leased to the caller.
                Err(_) if !endings.is_empty() => break,
                Err(error) => return Err(error.of_write()),
            };
            for row in &rows {
                match self.ending(row).await {
                    Ok(ending) => endings.push(ending),
                    Err(error) if endings.is_empty() && rows.len() == 1 => return Err(error),
                    // Its lease runs out, and it is taken again.
                    Err(error) => tracing::warn!(%error, "an ending can't be read"),
                }
            }
            // Without a row, those that are left don't fit or are being taken by other servers.
            let Some(last) = rows.last() else { break };
            let found: i64 = last.try_get(FOUND).unwrap_or(0);
            if found < count {
                break;
            }
            left -= rows.len().min(left);
            left_bytes -= last.try_get(BYTES).unwrap_or(left_bytes);
            minimum = 0;
        }
        Ok(endings)
    }

    async fn ending(&self, row: &Row) -> Result<PendingEnding, StoreError> {
        let taken = EndingRow::new(row).map_err(|error| {
            tracing::error!(%error, "the row of an ending can't be read");
            StoreError::unavailable(true, "the row of an ending can't be read")
        })?;
        let request = match taken.request {
            _ if taken.session.is_deleted() => None,
            Ok(request) => Some(request),
            Err(bytes) => {
                let request = self.large_request(taken.session.number, bytes).await?;
                request.map(Bytes::from)
            }
        };
        Ok(PendingEnding {
            state: taken.session.state(),
            expires_in: taken.session.ending_expires_in(),
            id: taken.session.id,
            // Without its request, the session was deleted after the ending was taken.
            deleted: request.is_none(),
            request: request.unwrap_or_default(),
            summary: taken.summary,
            delivery: taken.delivery,
        })
    }

    pub(crate) async fn postpone_ending(
        &self,
        id: &SessionId,
        delivery: u32,
        by: Duration,
    ) -> Result<(), StoreError> {
        let delivery = i64::from(delivery);
        let params: [&(dyn ToSql + Sync); 3] = [&id.as_str(), &delivery, &micros(by)];
        for _ in 0..MAX_TRIES {
            let row = self.db.query_opt(&self.sql.postpone, &params).await;
            if row.map_err(StatementError::of_write)?.is_some() {
                return Ok(());
            }
            let row = self.db.query_opt(&self.sql.ending, &[&id.as_str()]).await;
            let row = row.map_err(StatementError::of_read)?;
            let last = row.map(|row| row.try_get::<_, i64>(0));
            match last {
                None => return Err(StoreError::NotFound),
                Some(Ok(last)) if last == delivery => {}
                Some(_) => return Err(StoreError::Fenced),
            }
        }
        Err(contended())
    }

    pub(crate) async fn delivered(
        &self,
        id: &SessionId,
        sealed_by: Epoch,
    ) -> Result<(), StoreError> {
        let (counter, bits) = (
            sealed_by.counter.cast_signed(),
            sealed_by.bits.cast_signed(),
        );
        let params: [&(dyn ToSql + Sync); 3] = [&id.as_str(), &counter, &bits];
        let row = self.db.query_opt(&self.sql.delivered, &params).await;
        let row = row.map_err(StatementError::of_write)?;
        let expired = row.is_some_and(|row| row.try_get(0).unwrap_or(false));
        if expired {
            self.notify(id, ChangeKind::ChangedForOwner);
        }
        Ok(())
    }
}

impl EndingRow {
    /// Decodes the columns of a session and, after them, those of its ending.
    fn new(row: &Row) -> Result<Self, RowError> {
        let summary: Option<Vec<u8>> = row.try_get(COLUMNS)?;
        let bytes: i32 = row.try_get(COLUMNS + 2)?;
        let request: Option<Vec<u8>> = row.try_get(COLUMNS + 5)?;
        Ok(Self {
            session: SessionRow::of_ending(row)?,
            summary: summary.unwrap_or_default().into(),
            delivery: row.try_get::<_, i64>(COLUMNS + 1)?.try_into()?,
            request: match request {
                Some(request) => Ok(request.into()),
                None => Err(bytes.try_into()?),
            },
        })
    }
}
