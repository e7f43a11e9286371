use std::num::NonZeroUsize;

use tokio_postgres::types::ToSql;
use unbroken::{
    log::SessionId,
    store::{Filter, Listed, Listing, StatusFilter, StoreError},
};

use crate::{
    db::{Params, StatementError},
    postgres::PostgresInner,
    row::SessionRow,
    sql::Statement,
};

/// The size of a page where the filter has no limit.
const PAGE: usize = 100;

/// The most sessions that one statement sweeps.
const SWEEP_BATCH: usize = 32;

impl PostgresInner {
    pub(crate) async fn list(&self, filter: &Filter) -> Result<Listing, StoreError> {
        let limit = filter.limit.map_or(PAGE, NonZeroUsize::get);
        let below = match &filter.after {
            None => i64::MAX,
            // A cursor that is not one of this store has nothing after it.
            Some(after) => after.parse().unwrap_or(0),
        };
        let owner = filter.owner.as_ref().map(|it| it.as_str().as_bytes());
        let chat = filter.chat.as_ref().map(|it| it.as_str().as_bytes());
        let Some(status) = condition(filter.status) else {
            return Ok(Listing::default());
        };
        let statement = self.sql.list(owner.is_some(), chat.is_some(), status);
        let count = i64::try_from(limit)
            .unwrap_or(i64::MAX - 1)
            .saturating_add(1);
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&below, &count];
        params.extend(owner.iter().map(|it| it as &(dyn ToSql + Sync)));
        params.extend(chat.iter().map(|it| it as &(dyn ToSql + Sync)));
        let mut found = self.rows(&statement, &params).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found
            .last()
            .filter(|_| more)
            .map(|last| last.number.to_string());
        let sessions = found.into_iter().map(SessionRow::listed).collect();
        Ok(Listing { sessions, next })
    }

    pub(crate) async fn orphans(&self, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = self.rows(&self.sql.orphans, &[&limit]).await?;
        Ok(found.into_iter().map(SessionRow::listed).collect())
    }

    /// Sweeps in statements of few sessions each: a statement that exceeds its time limit frees nothing.
    pub(crate) async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let mut swept = 0;
        while swept < limit {
            let most = SWEEP_BATCH.min(limit - swept);
            let wanted = i64::try_from(most).unwrap_or(i64::MAX);
            let row = self.db.query_opt(&self.sql.sweep, &[&wanted]).await;
            let row = row.map_err(StatementError::of_write)?;
            let some: i64 = row.map_or(0, |row| row.try_get(0).unwrap_or(0));
            let some = usize::try_from(some).unwrap_or(0);
            swept += some;
            if some < most {
                break;
            }
        }
        Ok(swept)
    }

    /// Reads rows of sessions. Skips a row that can't be decoded, so that the others can be listed.
    async fn rows(
        &self,
        statement: &Statement,
        params: Params<'_>,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let rows = self.db.query(statement, params).await;
        let rows = rows.map_err(StatementError::of_read)?;
        Ok(rows
            .iter()
            .filter_map(|row| SessionRow::new(row).ok())
            .collect())
    }

    /// Reads the rows of those ids that are sessions or tombstones.
    pub(crate) async fn look_at(&self, ids: &[&SessionId]) -> Result<Vec<SessionRow>, StoreError> {
        let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        self.rows(&self.sql.states, &[&ids]).await
    }
}

/// Returns the SQL condition of a status; `None` for one that no session has.
fn condition(status: Option<StatusFilter>) -> Option<&'static str> {
    Some(match status {
        None => "",
        Some(StatusFilter::Streaming) => " AND s.kind IS NULL AND NOT s.waiting",
        Some(StatusFilter::Waiting) => " AND s.kind IS NULL AND s.waiting",
        Some(StatusFilter::Complete) => " AND s.kind = 0",
        Some(StatusFilter::Aborted) => " AND s.kind = 1",
        Some(StatusFilter::Error) => " AND s.kind = 2",
        Some(_) => return None,
    })
}
