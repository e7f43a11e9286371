use tokio_postgres::types::ToSql;
use unbroken::store::StoreError;

use crate::{db::StatementError, postgres::PostgresInner, sql::Statement};

/// The most sessions that one statement sweeps: a statement that exceeds its time limit frees nothing.
const SWEEP_BATCH: usize = 32;

impl PostgresInner {
    /// Removes what has expired, then the oldest tombstones beyond the greatest number of them. Endings whose
    /// time is over are dropped too, but not counted: their sessions stay.
    pub(crate) async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        let swept = self.sweep_by(&self.sql.sweep, &[], limit).await?;
        self.sweep_by(&self.sql.drop_endings, &[], limit).await?;
        let max = i64::try_from(self.max_tombstones).unwrap_or(i64::MAX);
        let left = limit - swept;
        let evicted = self.sweep_by(&self.sql.evict, &[&max], left).await?;
        Ok(swept + evicted)
    }

    /// Runs a statement until it finds less than it may, or has swept up to `limit` sessions.
    async fn sweep_by(
        &self,
        statement: &Statement,
        more: &[&(dyn ToSql + Sync)],
        limit: usize,
    ) -> Result<usize, StoreError> {
        let mut swept = 0;
        while swept < limit {
            let most = SWEEP_BATCH.min(limit - swept);
            let wanted = i64::try_from(most).unwrap_or(i64::MAX);
            let mut params: Vec<&(dyn ToSql + Sync)> = vec![&wanted];
            params.extend(more);
            let row = self.db.query_opt(statement, &params).await;
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
}
