use std::time::Duration;

use unbroken::{log::SessionId, store::StoreError};

use super::{IndexedNames, log_deferred};
use crate::{Redis, codec::micros, keys::TimeIndex, reply::ScriptReply};

/// An entry in the index of open or of sealed sessions.
#[derive(Debug)]
pub(super) struct DueEntry {
    pub(super) id: SessionId,
    pub(super) names: IndexedNames,
    /// The time of the entry, in microseconds.
    score: u64,
    /// The microseconds since that time.
    pub(super) age: u64,
    /// The microseconds until that time.
    pub(super) ahead: u64,
}

/// Reads the indexes by time, and corrects them.
impl Redis {
    /// Returns entries whose time has passed, the earliest first.
    pub(super) async fn due(
        &self,
        index: TimeIndex,
        skip: usize,
        count: usize,
    ) -> Result<Vec<DueEntry>, StoreError> {
        entries(self.due_members(index, skip, count).await?)
    }

    pub(super) async fn due_members(
        &self,
        index: TimeIndex,
        skip: usize,
        count: usize,
    ) -> Result<ScriptReply, StoreError> {
        let scripts = &self.inner.scripts;
        let call = scripts.index_due.on([self.inner.keys.times(index)]);
        Ok(call.arg(skip).arg(count).send(&self.inner.link).await?)
    }

    /// Returns the entries with the latest times.
    pub(super) async fn latest(
        &self,
        index: TimeIndex,
        count: usize,
    ) -> Result<Vec<DueEntry>, StoreError> {
        let scripts = &self.inner.scripts;
        let call = scripts.index_last.on([self.inner.keys.times(index)]);
        entries(call.arg(count).send(&self.inner.link).await?)
    }

    /// Gives an entry a new time, or removes it, unless it has changed since it was read.
    pub(super) async fn retime(
        &self,
        index: TimeIndex,
        entry: &DueEntry,
        from_now: Option<Duration>,
    ) {
        let scripts = &self.inner.scripts;
        let call = scripts.index_retime.on([self.inner.keys.times(index)]);
        let call = call.arg(entry.names.member(&entry.id)).arg(entry.score);
        let call = match from_now {
            Some(from_now) => call.arg(micros(from_now)),
            None => call,
        };
        if let Err(failure) = call.send(&self.inner.link).await {
            log_deferred(&failure.into());
        }
    }
}

fn entries(mut reply: ScriptReply) -> Result<Vec<DueEntry>, StoreError> {
    let now: u64 = reply.number()?;
    let mut found = reply.inner()?;
    let mut entries = Vec::new();
    while !found.is_empty() {
        let (member, score) = (found.text()?, found.number::<u64>()?);
        // This store writes no other member.
        if let Some((id, names)) = IndexedNames::parse(&member) {
            let (age, ahead) = (now.saturating_sub(score), score.saturating_sub(now));
            entries.push(DueEntry {
                id,
                names,
                score,
                age,
                ahead,
            });
        }
    }
    Ok(entries)
}
