use bytes::Bytes;

use super::log::Log;
use crate::{
    session::{Chunk, Position, life::Life, rule::Rules},
    store::{StoreError, shelf::Lives},
};

/// What is kept of a session.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) life: Life,
    // Empty once the session is sealed: nobody will claim it.
    pub(super) request: Bytes,
    pub(super) log: Log,
    // Whether the log and request were dropped because the session is gone.
    pub(super) cleared: bool,
    // A record that can't be read, because a test wants that.
    #[cfg(feature = "testing")]
    pub(super) harmed: Option<crate::session::Lsn>,
}

impl Kept {
    /// The records after a position that fit into so many bytes, up to one that can't be read.
    #[cfg_attr(
        not(feature = "testing"),
        expect(clippy::unnecessary_wraps, reason = "memory is harmed by tests only")
    )]
    pub(super) fn page(
        &self,
        after: Position,
        max_bytes: usize,
        rules: Rules,
    ) -> Result<Vec<Chunk>, StoreError> {
        let chunks = self.log.read(after, max_bytes, rules);
        #[cfg(feature = "testing")]
        if let Some(lsn) = self.harmed
            && lsn > after.lsn
        {
            let (before, behind) = (
                |it: &Chunk| it.up_to(lsn.before()),
                |it: &Chunk| it.after(lsn),
            );
            if !rules.hold(crate::session::rule::Rule::ReadCorrupt) {
                let around = chunks.iter().flat_map(|it| [before(it), behind(it)]);
                return Ok(around.flatten().collect());
            }
            if lsn == after.lsn.next() {
                return Err(StoreError::Corrupt { lsn });
            }
            return Ok(chunks.iter().filter_map(before).collect());
        }
        Ok(chunks)
    }

    /// Drops what a tombstone doesn't need.
    pub(super) fn clear(&mut self) {
        self.log = Log::default();
        self.request = Bytes::new();
        self.cleared = true;
    }
}

impl Lives for Kept {
    fn life(&self) -> &Life {
        &self.life
    }
}
