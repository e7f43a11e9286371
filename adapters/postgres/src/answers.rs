//! Stores and reads the answers of a session.

use tokio_postgres::{Row, types::ToSql};
use unbroken::{
    log::{Lsn, SessionId},
    store::{AnswerOutcome, StoreError, StoredAnswer},
};

use crate::{
    db::StatementError,
    postgres::PostgresInner,
    row::{COLUMNS, SessionRow},
    wake::ChangeKind,
    write::{MAX_TRIES, contended},
};

impl PostgresInner {
    pub(crate) async fn answer(
        &self,
        id: &SessionId,
        answer: &StoredAnswer,
    ) -> Result<AnswerOutcome, StoreError> {
        let encoded = answer.encoded();
        let (name, content) = (answer.name.as_bytes(), &*encoded);
        let most = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
        let (count, bytes) = (most(StoredAnswer::MAX_COUNT), most(StoredAnswer::MAX_BYTES));
        let params: [&(dyn ToSql + Sync); 5] = [&id.as_str(), &name, &content, &count, &bytes];
        for _ in 0..MAX_TRIES {
            // An answer that can never fit isn't sent. The other errors are checked first.
            if answer.fits(0, 0) {
                let row = self.db.query_opt(&self.sql.answer, &params).await;
                if let Some(row) = row.map_err(StatementError::of_write)? {
                    self.notify(id, ChangeKind::ChangedForOwner);
                    return Ok(AnswerOutcome::Stored(SessionRow::new(&row)?.state()));
                }
            }
            let (it, all) = self.read_answers(id, 0).await?;
            if let Some(there) = all.iter().find(|there| there.name == answer.name) {
                return Ok(if there.content == answer.content {
                    AnswerOutcome::Stored(it.state())
                } else {
                    AnswerOutcome::Taken
                });
            }
            if it.is_sealed() {
                return Err(StoreError::Sealed);
            }
            if !answer.fits(all.len(), all.iter().map(StoredAnswer::bytes).sum()) {
                return Err(StoreError::Full);
            }
        }
        Err(contended())
    }

    pub(crate) async fn answers(
        &self,
        id: &SessionId,
        after: usize,
    ) -> Result<Vec<StoredAnswer>, StoreError> {
        self.read_answers(id, after)
            .await
            .map(|(_, answers)| answers)
    }

    /// Reads the row of a session and its answers, without the first `after`.
    async fn read_answers(
        &self,
        id: &SessionId,
        after: usize,
    ) -> Result<(SessionRow, Vec<StoredAnswer>), StoreError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let params: [&(dyn ToSql + Sync); 2] = [&id.as_str(), &after];
        let row = self.db.query_opt(&self.sql.answers, &params).await;
        let row = row
            .map_err(StatementError::of_read)?
            .ok_or(StoreError::NotFound)?;
        let it = SessionRow::new(&row)?;
        let answers = read(&row).map_err(|error| {
            tracing::error!(%error, "the answers of a session can't be read");
            StoreError::Corrupt { lsn: Lsn::ZERO }
        })?;
        Ok((it, answers))
    }
}

fn read(row: &Row) -> Result<Vec<StoredAnswer>, Box<dyn std::error::Error + Send + Sync>> {
    let names: Vec<&[u8]> = row.try_get::<_, Option<_>>(COLUMNS)?.unwrap_or_default();
    let contents: Vec<Vec<u8>> = row
        .try_get::<_, Option<_>>(COLUMNS + 1)?
        .unwrap_or_default();
    let pairs = names.into_iter().zip(contents);
    pairs
        .map(|(name, content)| Ok(StoredAnswer::decode(std::str::from_utf8(name)?, content)))
        .collect()
}
