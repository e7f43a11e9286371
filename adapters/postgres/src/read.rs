use unbroken::{
    log::{EpochTag, Lsn, Position, SessionId},
    store::{RecordPage, StoreError},
};

use crate::{
    chunk::{ChunkRows, RowCut},
    db::SMALL,
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
        let mut size = PageSize {
            max_bytes,
            factor: 1.0,
            large: None,
        };
        loop {
            match self.try_page(id, after, &size).await? {
                PageAttempt::Page(page) => return Ok(page),
                PageAttempt::MoreRows => size.factor *= 16.0,
                PageAttempt::Large(bytes) => size.large = Some(bytes),
                PageAttempt::Corruption if size.max_bytes > 0 => size.max_bytes = 0,
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
        size: &PageSize,
    ) -> Result<PageAttempt, StoreError> {
        let from = i64::try_from(after.lsn.get()).unwrap_or(i64::MAX);
        let bytes = i64::try_from(size.max_bytes.max(1)).unwrap_or(i64::MAX);
        let most = match size.large {
            None => i64::try_from(SMALL).unwrap_or(i64::MAX),
            Some(_) => i64::MAX,
        };
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&id.as_str(), &from, &bytes, &size.factor, &most];
        let moved = size.large.unwrap_or(0);
        let row = match self.db.query_opt_for(&self.sql.read, &params, moved).await {
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
        let bytes: Option<i64> = row
            .try_get(COLUMNS + 10)
            .map_err(|error| unreadable(error.into()))?;
        if let Some(bytes) = bytes.filter(|bytes| *bytes > most) {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            return Ok(PageAttempt::Large(bytes));
        }
        let rows = ChunkRows::new(&row).map_err(unreadable)?;
        let page = rows.after(after.lsn, size.max_bytes);
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

/// The size of the page to read.
#[derive(Debug)]
struct PageSize {
    max_bytes: usize,
    /// A factor for the number of rows.
    factor: f64,
    /// The bytes of the rows, if these are known to be many.
    large: Option<usize>,
}

enum PageAttempt {
    Page(RecordPage),
    /// The rows have so many bytes that they need more time than others.
    Large(usize),
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
