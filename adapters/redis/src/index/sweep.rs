use futures_util::future::try_join_all;
use unbroken::store::StoreError;

use super::{BATCH, IndexedNames, MAX_ENTRIES};
use crate::{Redis, keys::TimeIndex, ops::SessionProbe};

/// Sweeps.
impl Redis {
    pub(crate) async fn sweep_now(&self, limit: usize) -> Result<usize, StoreError> {
        let mut swept = 0;
        // Entries that stay in the index.
        let mut passed = 0;
        let mut looked_at = 0;
        while swept < limit && looked_at < MAX_ENTRIES {
            let count = BATCH.min(limit - swept);
            let batch = self.due(TimeIndex::Due, passed, count).await?;
            looked_at += batch.len();
            let last = batch.len() < count;
            let mut gone = Vec::new();
            for (entry, probe) in self.probe_all(batch, |entry| &entry.id).await? {
                match probe {
                    // The session was held in the meantime; without an expiry it runs, and is another one.
                    SessionProbe::Present(look) => {
                        let names = IndexedNames::of(&look.state.meta);
                        self.remove_scopes(&entry.id, &entry.names, Some(&names))
                            .await?;
                        self.retime(TimeIndex::Due, &entry, look.expires_in).await;
                    }
                    // The engine has dropped the session; its entries remain.
                    SessionProbe::Buried(left) => gone.push((entry, Some(left))),
                    SessionProbe::Absent => gone.push((entry, None)),
                    SessionProbe::Unreadable => passed += 1,
                }
            }
            swept += gone.len();
            let burials = gone.iter();
            try_join_all(burials.map(|(entry, left)| self.bury(&entry.id, &entry.names, *left)))
                .await?;
            if last {
                break;
            }
        }
        self.trim_tombstones().await?;
        swept += self.forget_expired(limit - swept).await?;
        Ok(swept)
    }
}
