use futures_util::future::{join, join_all, try_join_all};
use unbroken::store::StoreError;

use super::{BATCH, IndexedNames, MAX_ENTRIES, due::DueEntry, endings::next_look, log_deferred};
use crate::{
    Redis,
    codec::from_now,
    keys::TimeIndex,
    ops::{EndingTimes, SessionLook, SessionProbe},
};

/// Sweeps.
impl Redis {
    pub(crate) async fn sweep_now(&self, limit: usize) -> Result<usize, StoreError> {
        let mut swept = 0;
        // Entries that stay in the index.
        let mut passed = 0;
        let mut looked_at = 0;
        // Entries of sessions that are kept.
        let mut moved_in_all = 0;
        while swept < limit && looked_at < MAX_ENTRIES {
            let count = BATCH.min(limit - swept);
            let batch = self.due(TimeIndex::Due, passed, count).await?;
            looked_at += batch.len();
            let is_last = batch.len() < count;
            let (mut kept, mut deleted, mut gone) = (Vec::new(), Vec::new(), Vec::new());
            for (entry, probe) in self.probe_all(batch, |entry| &entry.id).await? {
                match probe {
                    SessionProbe::Present(look) => kept.push((entry, look)),
                    SessionProbe::Buried {
                        ending: Some(ending),
                        ..
                    } => deleted.push((entry, ending)),
                    // The engine has dropped the session; its entries remain.
                    SessionProbe::Buried { left, ending: None } => gone.push((entry, Some(left))),
                    SessionProbe::Absent => gone.push((entry, None)),
                    SessionProbe::Unreadable => passed += 1,
                }
            }
            let burials = gone.iter();
            let burials = burials.map(|(entry, left)| self.bury(&entry.id, &entry.names, *left));
            let (moved, buried) = join(self.keep_all(&kept, &deleted), try_join_all(burials)).await;
            buried?;
            swept += gone.len();
            passed += kept.len() + deleted.len() - moved;
            // They come first, and are out of the way of the next call.
            moved_in_all += moved;
            if is_last || moved_in_all >= BATCH {
                break;
            }
        }
        self.trim_tombstones().await?;
        swept += self.forget_expired(limit - swept).await?;
        Ok(swept)
    }

    /// Writes the entries again of sessions that are kept, and of deleted ones whose endings wait, and moves them to the
    /// time of the next look. Returns the number of those that were moved.
    async fn keep_all(
        &self,
        kept: &[(DueEntry, SessionLook)],
        deleted: &[(DueEntry, EndingTimes)],
    ) -> usize {
        let of_kept = kept
            .iter()
            .map(|(entry, look)| self.index_kept(entry, look));
        let of_deleted = deleted
            .iter()
            .map(|(entry, ending)| self.index_deleted(&entry.id, &entry.names, *ending));
        let (of_kept, of_deleted) = join(join_all(of_kept), join_all(of_deleted)).await;
        let is_written = |written: &Result<(), StoreError>| {
            if let Err(error) = written {
                log_deferred(error);
            }
            written.is_ok()
        };
        let mut moved = of_deleted.iter().filter(|it| is_written(it)).count();
        let mut next_looks = Vec::new();
        for ((entry, look), written) in kept.iter().zip(&of_kept) {
            if is_written(written) {
                // Without an expiry it runs, and is another one.
                let next = look.expires_in.map(|left| next_look(left, look.ending));
                next_looks.push((entry, next.map(from_now)));
            }
        }
        match self.retime_all(TimeIndex::Due, &next_looks).await {
            Ok(()) => moved += next_looks.len(),
            Err(error) => log_deferred(&error),
        }
        moved
    }

    /// Removes a session that was held in the meantime from scopes that it isn't in, and writes the entry of its ending,
    /// which may have been lost.
    async fn index_kept(&self, entry: &DueEntry, look: &SessionLook) -> Result<(), StoreError> {
        let names = IndexedNames::of(&look.state.meta);
        self.remove_scopes(&entry.id, &entry.names, Some(&names))
            .await?;
        match look.ending {
            Some(ending) => self.index_ending(&entry.id, &names, ending.due).await,
            None => Ok(()),
        }
    }
}
