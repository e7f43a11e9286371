use tokio_postgres::types::ToSql;
use unbroken::store::StoreError;

use crate::{db::StatementError, postgres::PostgresInner, sql::Statement};

/// The most sessions that one statement sweeps: a statement that exceeds its time limit frees nothing.
const SWEEP_BATCH: usize = 32;

impl PostgresInner {
    /// Removes what has expired, then the oldest tombstones beyond the greatest number of them. Endings whose
    /// time is over are dropped too, but not counted: their sessions stay. Nor is a deleted session counted whose
    /// ending waits: only its records and its request are removed, if the deletion was interrupted.
    pub(crate) async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let swept = self.sweep_by(&self.sql.sweep, &[], limit).await?;
        self.sweep_by(&self.sql.drop_endings, &[], limit).await?;
        let max = i64::try_from(self.max_tombstones).unwrap_or(i64::MAX);
        let left = limit - swept;
        let evicted = self.sweep_by(&self.sql.evict, &[&max], left).await?;
        Ok(swept + evicted)
    }

    /// Runs a statement until it finds less than it may, or has found `limit` sessions. Returns the number of those
    /// that count as removed.
    async fn sweep_by(
        &self,
        statement: &Statement,
        more: &[&(dyn ToSql + Sync)],
        limit: usize,
    ) -> Result<usize, StoreError> {
        let (mut swept, mut left) = (0, limit);
        while left > 0 {
            let most = SWEEP_BATCH.min(left);
            let wanted = i64::try_from(most).unwrap_or(i64::MAX);
            let mut params: Vec<&(dyn ToSql + Sync)> = vec![&wanted];
            params.extend(more);
            let row = self.db.query_opt(statement, &params).await;
            let row = row.map_err(StatementError::of_write)?;
            let number = |column: usize| {
                let number: i64 = row.as_ref().map_or(0, |it| it.try_get(column).unwrap_or(0));
                usize::try_from(number).unwrap_or(0)
            };
            let found = number(0);
            swept += number(1);
            if found < most {
                break;
            }
            left -= found;
        }
        Ok(swept)
    }
}
