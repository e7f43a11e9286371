use std::time::Duration;

use unbroken::store::{Lease, Listed, StoreError};

use super::{BATCH, GRACE, MAX_ENTRIES};
use crate::{
    Redis,
    keys::TimeIndex,
    ops::{SessionLook, SessionProbe},
};

/// The longest plausible lease, in microseconds.
const MAX_LEASE: u64 = 600_000_000;

/// Finds orphans.
impl Redis {
    pub(crate) async fn orphans_now(&self, limit: usize) -> Result<Vec<Listed>, StoreError> {
        self.reindex_lost().await?;
        let mut orphans = Vec::new();
        // Entries that stay in the index.
        let mut passed = 0;
        let mut looked_at = 0;
        while orphans.len() < limit && looked_at < MAX_ENTRIES {
            let batch = self.due(TimeIndex::Open, passed, BATCH).await?;
            looked_at += batch.len();
            let last = batch.len() < BATCH;
            for (entry, probe) in self.probe_all(batch, |entry| &entry.id).await? {
                match probe {
                    SessionProbe::Present(SessionLook {
                        state,
                        expires_in,
                        ending,
                    }) => {
                        if state.status.outcome().is_some() {
                            // The write of its seal to the index was lost.
                            let keep = expires_in.unwrap_or_default();
                            if self
                                .index_status(&entry.id, &state, Some(keep), ending)
                                .await
                            {
                                self.retime(TimeIndex::Open, &entry, None).await;
                            } else {
                                passed += 1;
                            }
                        } else if let Lease::Held(left) = state.lease {
                            self.retime(TimeIndex::Open, &entry, Some(left)).await;
                        } else {
                            passed += 1;
                            if orphans.len() < limit {
                                let id = entry.id;
                                orphans.push(Listed { id, state });
                            }
                        }
                    }
                    // The removal of its entries was lost.
                    SessionProbe::Buried {
                        ending: Some(ending),
                        ..
                    } => self.index_deleted(&entry.id, &entry.names, ending).await?,
                    SessionProbe::Buried { left, ending: None } => {
                        self.bury(&entry.id, &entry.names, Some(left)).await?;
                    }
                    // It was never created, or its tombstone is over, too.
                    SessionProbe::Absent if entry.age > GRACE => {
                        self.bury(&entry.id, &entry.names, None).await?;
                    }
                    SessionProbe::Absent | SessionProbe::Unreadable => passed += 1,
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
            let mut batch = self.latest(TimeIndex::Open, count).await?;
            batch.retain(|entry| entry.ahead > MAX_LEASE);
            if batch.is_empty() {
                break;
            }
            for (entry, probe) in self.probe_all(batch, |entry| &entry.id).await? {
                let SessionProbe::Present(SessionLook { state, .. }) = probe else {
                    continue;
                };
                let left = match state.lease {
                    Lease::Held(left) => left,
                    _ => Duration::ZERO,
                };
                self.retime(TimeIndex::Open, &entry, Some(left)).await;
            }
        }
        Ok(())
    }
}
