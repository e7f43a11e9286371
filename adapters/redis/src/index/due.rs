use std::time::Duration;

use unbroken::{log::SessionId, store::StoreError};

use super::{IndexedNames, log_deferred};
use crate::{Redis, codec::from_now, keys::TimeIndex, reply::ScriptReply};

/// An entry in an index by time that names the session's other entries.
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
        index: TimeIndex<'_>,
        skip: usize,
        count: usize,
    ) -> Result<Vec<DueEntry>, StoreError> {
        entries(self.due_members(index, skip, count).await?)
    }

    pub(super) async fn due_members(
        &self,
        index: TimeIndex<'_>,
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
        index: TimeIndex<'_>,
        count: usize,
    ) -> Result<Vec<DueEntry>, StoreError> {
        let scripts = &self.inner.scripts;
        let call = scripts.index_last.on([self.inner.keys.times(index)]);
        entries(call.arg(count).send(&self.inner.link).await?)
    }

    /// Gives an entry a new time, or removes it, unless it has changed since it was read.
    pub(super) async fn retime(
        &self,
        index: TimeIndex<'_>,
        entry: &DueEntry,
        to: Option<Duration>,
    ) {
        let to = to.map(from_now);
        if let Err(error) = self.retime_all(index, &[(entry, to)]).await {
            log_deferred(&error);
        }
    }

    /// Gives entries new times, in microseconds from now, or removes them, unless they have changed since they were
    /// read.
    pub(super) async fn retime_all(
        &self,
        index: TimeIndex<'_>,
        entries: &[(&DueEntry, Option<i64>)],
    ) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let scripts = &self.inner.scripts;
        let mut call = scripts.index_retime.on([self.inner.keys.times(index)]);
        for (entry, to) in entries {
            call = call.arg(entry.names.member(&entry.id)).arg(entry.score);
            call = call.arg(time_arg(*to));
        }
        call.send(&self.inner.link).await?;
        Ok(())
    }

    /// Writes an entry with this time, in microseconds from now, or removes it, whatever is there.
    pub(super) async fn set_time(
        &self,
        index: TimeIndex<'_>,
        member: &str,
        to: Option<i64>,
    ) -> Result<(), StoreError> {
        let scripts = &self.inner.scripts;
        let call = scripts.index_retime.on([self.inner.keys.times(index)]);
        let call = call.arg(member).arg("").arg(time_arg(to));
        call.send(&self.inner.link).await?;
        Ok(())
    }
}

fn time_arg(to: Option<i64>) -> String {
    to.map_or_else(String::new, |to| to.to_string())
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
