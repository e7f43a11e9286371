use unbroken::{
    log::{EpochTag, Lsn, Position, SessionId},
    store::{RecordPage, StoreError},
};

use crate::{
    chunk::{ChunkRows, RowCut},
    postgres::PostgresInner,
    row::{COLUMNS, SessionRow, epoch},
};

impl PostgresInner {
    pub(crate) async fn page(
        &self,
        id: &SessionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<RecordPage, StoreError> {
        let (mut max_bytes, mut factor) = (max_bytes, 1.0_f64);
        loop {
            match self.try_page(id, after, max_bytes, factor).await? {
                PageAttempt::Page(page) => return Ok(page),
                PageAttempt::MoreRows => factor *= 16.0,
                PageAttempt::Corruption if max_bytes > 0 => max_bytes = 0,
                PageAttempt::Corruption => {
                    let lsn = after.lsn.next();
                    return Err(StoreError::Corrupt { lsn });
                }
            }
        }
    }

    async fn try_page(
        &self,
        id: &SessionId,
        after: Position,
        max_bytes: usize,
        factor: f64,
    ) -> Result<PageAttempt, StoreError> {
        let from = i64::try_from(after.lsn.get()).unwrap_or(i64::MAX);
        let bytes = i64::try_from(max_bytes.max(1)).unwrap_or(i64::MAX);
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&id.as_str(), &from, &bytes, &factor];
        let row = match self.db.query_opt(&self.sql.read, &params).await {
            Ok(row) => row.ok_or(StoreError::NotFound)?,
            Err(failure) if failure.is_corruption() => return Ok(PageAttempt::Corruption),
            Err(failure) => return Err(failure.of_read()),
        };
        let stored = SessionRow::new(&row)?;
        stored.check_format()?;
        let unreadable = |error| {
            tracing::error!(%error, "the records of a session can't be read");
            StoreError::Corrupt {
                lsn: after.lsn.next(),
            }
        };
        let written_by = written_by(&row, after.lsn).map_err(unreadable)?;
        check_position(&stored, after, written_by)?;
        let rows = ChunkRows::new(&row).map_err(unreadable)?;
        let page = rows.after(after.lsn, max_bytes);
        let none = page.chunks.is_empty() && after.lsn < stored.tail;
        if none || page.last > stored.tail {
            return Ok(PageAttempt::Corruption);
        }
        let rows_read: i64 = row
            .try_get(COLUMNS + 3)
            .map_err(|error| unreadable(error.into()))?;
        let all_read = usize::try_from(rows_read).is_ok_and(|count| rows.len() >= count);
        if page.cut.is_none() && page.last < stored.tail && all_read {
            return Ok(PageAttempt::MoreRows);
        }
        if page.cut == Some(RowCut::Corrupt) {
            tracing::error!(after = %page.last, "a record can't be read");
        }
        Ok(PageAttempt::Page(RecordPage {
            chunks: page.chunks,
            state: stored.state(),
        }))
    }
}

enum PageAttempt {
    Page(RecordPage),
    /// More records would have fitted than rows were read: records are larger elsewhere in the log.
    MoreRows,
    /// The first requested record, or a later one, can't be read.
    Corruption,
}

/// Returns the tag of the epoch that wrote a record, if the record exists.
fn written_by(
    row: &tokio_postgres::Row,
    lsn: Lsn,
) -> Result<Option<EpochTag>, Box<dyn std::error::Error + Send + Sync>> {
    let first: Option<i64> = row.try_get(COLUMNS)?;
    let Some(first) = first else { return Ok(None) };
    let by = epoch(row.try_get(COLUMNS + 1)?, row.try_get(COLUMNS + 2)?);
    let there = u64::try_from(first).is_ok_and(|first| first <= lsn.get());
    Ok(there.then(|| by.tag()))
}

fn check_position(
    stored: &SessionRow,
    after: Position,
    written_by: Option<EpochTag>,
) -> Result<(), StoreError> {
    let tail = stored.tail;
    match written_by {
        _ if after.lsn == Lsn::ZERO => Ok(()),
        Some(is) if after.tag.is_none_or(|was| was == is) => Ok(()),
        _ => Err(StoreError::Rewound { tail }),
    }
}
