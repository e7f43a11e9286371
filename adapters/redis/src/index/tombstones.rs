use std::time::Duration;

use futures_util::future::try_join_all;
use unbroken::{log::SessionId, store::StoreError};

use super::{BATCH, IndexedNames, MAX_ENTRIES};
use crate::{Redis, codec::micros, keys::TimeIndex, reply::ScriptReply};

/// Counts tombstones, and drops those that are too many.
impl Redis {
    /// Removes a session that is gone from all indexes, and counts its tombstone, of which `left` remains.
    ///
    /// Its member in the indexes by time, which names the others, goes last.
    pub(crate) async fn bury(
        &self,
        id: &SessionId,
        names: &IndexedNames,
        left: Option<Duration>,
    ) -> Result<(), StoreError> {
        self.remove_scopes(id, names, None).await?;
        self.unindex_ending(id, names).await?;
        let scripts = &self.inner.scripts;
        let call = scripts
            .index_bury
            .on(self.inner.keys.all_sessions())
            .arg(self.inner.options.max_tombstones)
            .arg(BATCH)
            .arg(id.as_str())
            .arg(names.member(id))
            .arg(left.map_or_else(String::new, |left| micros(left).to_string()));
        let excess = call.send(&self.inner.link).await?;
        self.forget(excess).await.map(drop)
    }

    /// Drops the tombstones that are too many, the oldest first, after the limit was lowered.
    pub(super) async fn trim_tombstones(&self) -> Result<(), StoreError> {
        for _ in 0..MAX_ENTRIES / BATCH {
            let scripts = &self.inner.scripts;
            let call = scripts.index_bury.on(self.inner.keys.all_sessions());
            let call = call.arg(self.inner.options.max_tombstones).arg(BATCH);
            let excess = call.send(&self.inner.link).await?;
            if self.forget(excess).await? < BATCH {
                break;
            }
        }
        Ok(())
    }

    /// Removes the entries of up to `limit` tombstones that are over, which the engine has dropped.
    pub(super) async fn forget_expired(&self, limit: usize) -> Result<usize, StoreError> {
        let mut forgotten = 0;
        while forgotten < limit.min(MAX_ENTRIES) {
            let count = BATCH.min(limit - forgotten);
            let mut reply = self.due_members(TimeIndex::Tombstones, 0, count).await?;
            let _now: u64 = reply.number()?;
            let mut found = reply.inner()?;
            let mut members = Vec::new();
            while !found.is_empty() {
                members.push(found.text()?);
                let _score: u64 = found.number()?;
            }
            self.uncount(&members).await?;
            forgotten += members.len();
            if members.len() < count {
                break;
            }
        }
        Ok(forgotten)
    }

    /// Drops tombstones, then their entries, so that a crash in between loses none of these. Returns their number.
    async fn forget(&self, mut members: ScriptReply) -> Result<usize, StoreError> {
        let (keys, scripts) = (&self.inner.keys, &self.inner.scripts);
        let mut dropped = Vec::new();
        let mut calls = Vec::new();
        while !members.is_empty() {
            let member = members.text()?;
            if let Ok(id) = member.parse::<SessionId>() {
                let keys = [keys.session(&id), keys.tombstone(&id), keys.ending(&id)];
                let call = scripts.forget.on(keys);
                calls.push(call.send(&self.inner.link));
            }
            dropped.push(member);
        }
        try_join_all(calls).await?;
        self.uncount(&dropped).await?;
        Ok(dropped.len())
    }

    async fn uncount(&self, members: &[String]) -> Result<(), StoreError> {
        if members.is_empty() {
            return Ok(());
        }
        let mut command = redis::cmd("ZREM");
        command.arg(self.inner.keys.times(TimeIndex::Tombstones));
        self.inner.link.send(command.arg(members)).await?;
        Ok(())
    }
}
