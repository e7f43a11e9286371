use std::time::Duration;

use unbroken::{
    log::SessionId,
    store::{Lease, Listed, StoreError},
};

use super::{BATCH, MOST};
use crate::{Redis, codec::decode_info, keys::IndexName, ops::SessionLook, reply::ScriptReply};

/// Few leases are longer than this, in microseconds.
const FAR: u64 = 600_000_000;

/// What nobody works on any more.
impl Redis {
    pub(crate) async fn orphans_now(&self, limit: usize) -> Result<Vec<Listed>, StoreError> {
        self.bring_back().await?;
        let mut orphans = Vec::new();
        // Those that stay where they are.
        let mut passed = 0;
        let mut looked_at = 0;
        while orphans.len() < limit && looked_at < MOST {
            let batch = self.due(IndexName::Open, passed, BATCH).await?;
            looked_at += batch.len();
            let whole = batch.len() < BATCH;
            for (entry, look) in self.look_at(batch).await {
                match look {
                    Ok(SessionLook { state, left }) => {
                        if state.status.outcome().is_some() {
                            // Its seal did not get as far as the index.
                            self.note_sealed(&entry.id, left.unwrap_or_default()).await;
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
            if whole {
                break;
            }
        }
        Ok(orphans)
    }

    /// Corrects entries that are far ahead: the server's clock was set back since, and appends extend
    /// a lease without telling the index.
    async fn bring_back(&self) -> Result<(), StoreError> {
        // One tells whether there are any.
        for count in [1, BATCH] {
            let mut batch = self.latest(IndexName::Open, count).await?;
            batch.retain(|entry| entry.ahead > FAR);
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
        while swept < limit && looked_at < MOST {
            let count = BATCH.min(limit - swept);
            let batch = self.due(IndexName::Due, 0, count).await?;
            looked_at += batch.len();
            if batch.is_empty() {
                break;
            }
            for (entry, look) in self.look_at(batch).await {
                match look {
                    // Held for longer since.
                    Ok(SessionLook {
                        left: Some(left), ..
                    }) => self.fix(IndexName::Due, &entry, Some(left)).await,
                    // Not sealed: another session under the same id.
                    Ok(_) => self.fix(IndexName::Due, &entry, None).await,
                    // The engine has dropped it already; what is left to do is to forget its name.
                    Err(StoreError::Gone(_) | StoreError::NotFound) => {
                        self.forget(&entry.id).await?;
                        swept += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(swept)
    }

    /// Takes a session that has expired out of all indexes that can still be known.
    async fn forget(&self, id: &SessionId) -> Result<(), StoreError> {
        let mut command = redis::cmd("GET");
        let left = command.arg(self.inner.keys.info(id));
        let left = ScriptReply::new(vec![self.inner.link.send(left).await?]).maybe_bytes()?;
        match left.map(|info| decode_info(&info)).transpose()? {
            Some(info) => self.leave(id, &info, None).await,
            // The tombstone went first. Owner and chat are forgotten when somebody lists them.
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
