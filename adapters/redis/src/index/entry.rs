use std::time::Duration;

use futures_util::future::join_all;
use unbroken::{log::SessionId, store::StoreError};

use super::{BATCH, log_deferred};
use crate::{Redis, codec::micros, keys::IndexName, ops::SessionLook, reply::ScriptReply};

/// An entry of an index.
#[derive(Debug)]
pub(super) struct IndexedSession {
    pub(super) id: SessionId,
    pub(super) score: u64,
    // Microseconds since the time of the score.
    age: u64,
    // Microseconds until the time of the score.
    pub(super) ahead: u64,
}

/// The age in microseconds of an entry without a session that is removed. An entry is written before its
/// session is created.
const GRACE: u64 = 60_000_000;

impl IndexedSession {
    /// Returns true if the entry has no session, given the error of a look at that.
    ///
    /// # Errors
    ///
    /// Returns any other error.
    pub(super) fn is_stale(&self, error: StoreError) -> Result<bool, StoreError> {
        match error {
            StoreError::Gone(_) => Ok(true),
            StoreError::NotFound => Ok(self.age > GRACE),
            error => Err(error),
        }
    }
}

/// Reads and corrects the indexes.
impl Redis {
    /// Returns entries whose time has passed, the earliest first.
    pub(super) async fn due(
        &self,
        index: IndexName<'_>,
        skip: usize,
        count: usize,
    ) -> Result<Vec<IndexedSession>, StoreError> {
        let scripts = &self.inner.scripts;
        let call = scripts.index_due.on([self.inner.keys.index(index)]);
        entries(call.arg(skip).arg(count).send(&self.inner.link).await?)
    }

    /// Returns entries after a cursor, the latest first, and true if these are the last.
    pub(super) async fn older(
        &self,
        index: IndexName<'_>,
        than: Option<&(u64, SessionId)>,
    ) -> Result<(Vec<IndexedSession>, bool), StoreError> {
        let scripts = &self.inner.scripts;
        let call = scripts.index_page.on([self.inner.keys.index(index)]);
        let call = match than {
            Some((score, _)) => call.arg(score),
            None => call.arg("+inf"),
        };
        // One more, as the entry of the cursor is among them.
        let reply = call.arg(BATCH + 1).send(&self.inner.link).await?;
        let mut entries = entries(reply)?;
        let all = entries.len() <= BATCH;
        if let Some((score, id)) = than {
            entries.retain(|entry| (entry.score, &entry.id) < (*score, id));
        }
        let last = all || entries.is_empty();
        entries.truncate(BATCH);
        Ok((entries, last))
    }

    /// Returns the entries with the latest times.
    pub(super) async fn latest(
        &self,
        index: IndexName<'_>,
        count: usize,
    ) -> Result<Vec<IndexedSession>, StoreError> {
        let scripts = &self.inner.scripts;
        let call = scripts.index_page.on([self.inner.keys.index(index)]);
        entries(call.arg("+inf").arg(count).send(&self.inner.link).await?)
    }

    pub(super) async fn look_at(
        &self,
        batch: Vec<IndexedSession>,
    ) -> Vec<(IndexedSession, Result<SessionLook, StoreError>)> {
        let looks = batch.into_iter().map(|entry| async move {
            let look = self.look(&entry.id).await;
            (entry, look)
        });
        join_all(looks).await
    }

    /// Corrects an entry, unless it has changed since it was read; removes it if there is no new time.
    pub(super) async fn fix(
        &self,
        index: IndexName<'_>,
        entry: &IndexedSession,
        from_now: Option<Duration>,
    ) {
        let scripts = &self.inner.scripts;
        let call = scripts.index_fix.on([self.inner.keys.index(index)]);
        let call = call.arg(entry.id.as_str()).arg(entry.score);
        let call = match from_now {
            Some(from_now) => call.arg(micros(from_now)),
            None => call.arg(""),
        };
        if let Err(failure) = call.send(&self.inner.link).await {
            log_deferred(&failure.into());
        }
    }
}

fn entries(mut reply: ScriptReply) -> Result<Vec<IndexedSession>, StoreError> {
    let now: u64 = reply.number()?;
    let mut found = reply.inner()?;
    let mut entries = Vec::new();
    while !found.is_empty() {
        let (id, score) = (found.text()?, found.number::<u64>()?);
        // This store writes no member that isn't an id.
        if let Ok(id) = id.parse() {
            let (age, ahead) = (now.saturating_sub(score), score.saturating_sub(now));
            entries.push(IndexedSession {
                id,
                score,
                age,
                ahead,
            });
        }
    }
    Ok(entries)
}
