use unbroken::{
    log::{Chunk, Position, SessionId},
    store::{RecordPage, Store, StoreError, StoreExt},
};

use super::{BrokenStore, ContractRule, chunk::with_epoch};

impl<S: Store> BrokenStore<S> {
    pub(super) async fn read_broken(
        &self,
        id: &SessionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<RecordPage, StoreError> {
        let first = self.overlay(id, |overlay| overlay.first);
        let untagged = Position::after(after.lsn);
        let (from, max) = match self.broken() {
            Some(ContractRule::ReadTag) => (untagged, max_bytes),
            Some(ContractRule::ClaimFences)
                if after.tag == first.map(unbroken::log::Epoch::tag) =>
            {
                (untagged, max_bytes)
            }
            Some(ContractRule::ReadMax) => (after, usize::MAX),
            _ => (after, max_bytes),
        };
        let page = self.inner().read(id, from, max).await;
        let mut page = match (self.broken(), page) {
            (Some(ContractRule::ReadAbsent), Err(StoreError::Rewound { tail }))
                if after.lsn > tail =>
            {
                RecordPage {
                    chunks: Vec::new(),
                    state: self.inner().state(id).await?,
                }
            }
            (Some(ContractRule::ReadRewound), Err(StoreError::Rewound { tail })) => {
                let from = Position::after(tail.min(after.lsn));
                self.inner().read(id, from, max).await?
            }
            (Some(ContractRule::ReadAfter), Ok(_)) => {
                let from = Position::after(after.lsn.before());
                self.inner().read(id, from, max).await?
            }
            (_, page) => page?,
        };
        let by = match self.broken() {
            Some(ContractRule::ReadEpoch) => Some(page.state.epoch),
            Some(ContractRule::ClaimFences) => first,
            _ => None,
        };
        if let Some(epoch) = by {
            let chunks = page.chunks.iter();
            page.chunks = chunks.map(|chunk| with_epoch(chunk, epoch)).collect();
        }
        let bytes: usize = page.chunks.iter().map(Chunk::bytes).sum();
        if self.breaks(ContractRule::ReadOne) && bytes > max_bytes {
            page.chunks.clear();
        }
        page.chunks = self.readable(id, after, page.chunks)?;
        page.state = self.shown(id, page.state);
        Ok(page)
    }

    /// Returns the records up to the corrupt one.
    ///
    /// # Errors
    ///
    /// Fails with [`StoreError::Corrupt`] if the first record is the corrupt one.
    fn readable(
        &self,
        id: &SessionId,
        after: Position,
        chunks: Vec<Chunk>,
    ) -> Result<Vec<Chunk>, StoreError> {
        let corrupt = self.overlay(id, |overlay| overlay.corrupt);
        let Some(lsn) = corrupt.filter(|lsn| *lsn > after.lsn) else {
            return Ok(chunks);
        };
        let before = |chunk: &Chunk| chunk.up_to(lsn.before());
        if self.breaks(ContractRule::ReadCorrupt) {
            let around = chunks.iter().flat_map(|it| [before(it), it.after(lsn)]);
            return Ok(around.flatten().collect());
        }
        if lsn == after.lsn.next() {
            return Err(StoreError::Corrupt { lsn });
        }
        Ok(chunks.iter().filter_map(before).collect())
    }
}
