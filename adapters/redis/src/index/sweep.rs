use futures_util::future::try_join_all;
use unbroken::store::StoreError;

use super::{BATCH, IndexedNames, MAX_ENTRIES, endings::next_look, log_deferred};
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
                        let next = look.expires_in.map(|left| next_look(left, look.ending));
                        // The entry of an ending that waits may have been lost.
                        let written = match look.ending {
                            Some(ending) => self.index_ending(&entry.id, &names, ending.due).await,
                            None => Ok(()),
                        };
                        match written {
                            Ok(()) => self.retime(TimeIndex::Due, &entry, next).await,
                            Err(error) => {
                                log_deferred(&error);
                                passed += 1;
                            }
                        }
                    }
                    SessionProbe::Buried {
                        ending: Some(ending),
                        ..
                    } => {
                        let (id, names) = (&entry.id, &entry.names);
                        if let Err(error) = self.index_deleted(id, names, ending).await {
                            log_deferred(&error);
                            passed += 1;
                        }
                    }
                    // The engine has dropped the session; its entries remain.
                    SessionProbe::Buried { left, ending: None } => gone.push((entry, Some(left))),
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
