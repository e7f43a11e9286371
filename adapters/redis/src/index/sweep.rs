use std::time::Duration;

use unbroken::{
    log::SessionId,
    store::{Lease, Listed, StoreError},
};

use super::{BATCH, MAX_ENTRIES};
use crate::{Redis, codec::decode_meta, keys::IndexName, ops::SessionLook, reply::ScriptReply};

/// The longest plausible lease, in microseconds.
const MAX_LEASE: u64 = 600_000_000;

/// Finds orphans, and sweeps.
impl Redis {
    pub(crate) async fn orphans_now(&self, limit: usize) -> Result<Vec<Listed>, StoreError> {
        self.reindex_lost().await?;
        let mut orphans = Vec::new();
        // Entries that stay in the index.
        let mut passed = 0;
        let mut looked_at = 0;
        while orphans.len() < limit && looked_at < MAX_ENTRIES {
            let batch = self.due(IndexName::Open, passed, BATCH).await?;
            looked_at += batch.len();
            let last = batch.len() < BATCH;
            for (entry, look) in self.look_at(batch).await {
                match look {
                    Ok(SessionLook { state, expires_in }) => {
                        if state.status.outcome().is_some() {
                            // The write of its seal to the index was lost.
                            self.index_seal(&entry.id, expires_in.unwrap_or_default())
                                .await;
                        } else if let Lease::Held(left) = state.lease {
                            self.fix(IndexName::Open, &entry, Some(left)).await;
                        } else {
                            passed += 1;
                            if orphans.len() < limit {
                                let id = entry.id;
                                orphans.push(Listed { id, state });
                            }
                        }
                    }
                    Err(error) => {
                        if entry.is_stale(error)? {
                            self.fix(IndexName::Open, &entry, None).await;
                        } else {
                            passed += 1;
                        }
                    }
                }
            }
            if last {
                break;
            }
        }
        Ok(orphans)
    }

    /// Corrects entries that are far ahead, because the clock of the server was set back. Appends extend
    /// a lease without a write to the index.
    async fn reindex_lost(&self) -> Result<(), StoreError> {
        // The first entry shows if there are any.
        for count in [1, BATCH] {
            let mut batch = self.latest(IndexName::Open, count).await?;
            batch.retain(|entry| entry.ahead > MAX_LEASE);
            if batch.is_empty() {
                break;
            }
            for (entry, look) in self.look_at(batch).await {
                let Ok(SessionLook { state, .. }) = look else {
                    continue;
                };
                let left = match state.lease {
                    Lease::Held(left) => left,
                    _ => Duration::ZERO,
                };
                self.fix(IndexName::Open, &entry, Some(left)).await;
            }
        }
        Ok(())
    }

    pub(crate) async fn sweep_now(&self, limit: usize) -> Result<usize, StoreError> {
        let mut swept = 0;
        let mut looked_at = 0;
        while swept < limit && looked_at < MAX_ENTRIES {
            let count = BATCH.min(limit - swept);
            let batch = self.due(IndexName::Due, 0, count).await?;
            looked_at += batch.len();
            if batch.is_empty() {
                break;
            }
            for (entry, look) in self.look_at(batch).await {
                match look {
                    // The session was held in the meantime.
                    Ok(SessionLook {
                        expires_in: Some(left),
                        ..
                    }) => self.fix(IndexName::Due, &entry, Some(left)).await,
                    // Not sealed: another session with the same id.
                    Ok(_) => self.fix(IndexName::Due, &entry, None).await,
                    // The engine has dropped the session; its entries remain.
                    Err(StoreError::Gone(_) | StoreError::NotFound) => {
                        self.remove_gone(&entry.id).await?;
                        swept += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(swept)
    }

    /// Removes a session that has expired from all indexes that its tombstone names.
    async fn remove_gone(&self, id: &SessionId) -> Result<(), StoreError> {
        let mut command = redis::cmd("GET");
        let left = command.arg(self.inner.keys.info(id));
        let left = ScriptReply::new(vec![self.inner.link.send(left).await?]).maybe_bytes()?;
        match left.map(|meta| decode_meta(&meta)).transpose()? {
            Some(meta) => self.remove_from_indexes(id, &meta, None).await,
            // The tombstone has expired, too. The next list of the owner or the chat removes the entry.
            None => {
                for index in [IndexName::All, IndexName::Open, IndexName::Due] {
                    let mut command = redis::cmd("ZREM");
                    command.arg(self.inner.keys.index(index)).arg(id.as_str());
                    self.inner.link.send(&command).await?;
                }
            }
        }
        Ok(())
    }
}
