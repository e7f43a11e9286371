use std::{fs::File, sync::Arc};

use tokio::task::spawn_blocking;
use unbroken::{
    log::{Chunk, Position, SessionId},
    store::{RecordPage, SessionState, StoreError},
};

use crate::{frame, handle::Disk, location::Extent, segments};

/// The extents and the state from which a page is read.
struct ReadPlan {
    number: u64,
    // Each with its open file, which stays readable if it is removed meanwhile.
    pieces: Vec<(Extent, Option<Arc<File>>)>,
    state: SessionState,
}

impl Disk {
    /// Reads a page, off the runtime's workers if it needs the disk.
    pub(crate) async fn page(
        &self,
        id: &SessionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<RecordPage, StoreError> {
        let plan = self.plan(id, after, max_bytes)?;
        if plan.state.tail <= after.lsn {
            let (chunks, state) = (Vec::new(), plan.state);
            return Ok(RecordPage { chunks, state });
        }
        let read = spawn_blocking(move || plan.read(after, max_bytes));
        read.await
            .unwrap_or_else(|panic| Err(StoreError::unavailable(false, panic)))
    }

    fn plan(
        &self,
        id: &SessionId,
        after: Position,
        max_bytes: usize,
    ) -> Result<ReadPlan, StoreError> {
        let entry = self.table.entry(id)?;
        let (session, now) = (entry.lock(), self.table.now());
        session
            .machine
            .check_read(after, |lsn| session.tag_at(lsn), now)?;
        let mut bytes = 0;
        let enough = session.after(after.lsn).iter().take_while(|extent| {
            // The records of the first extent may lie before the position.
            let needed = bytes <= max_bytes;
            if extent.first > after.lsn {
                bytes = bytes.saturating_add(extent.bytes as usize);
            }
            needed
        });
        Ok(ReadPlan {
            number: entry.number,
            pieces: enough
                .map(|extent| (*extent, self.opened.file(extent.location.segment)))
                .collect(),
            state: session.machine.state(now),
        })
    }
}

impl ReadPlan {
    fn read(self, after: Position, max_bytes: usize) -> Result<RecordPage, StoreError> {
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut last = after.lsn;
        let mut left = max_bytes;
        for (extent, file) in &self.pieces {
            let chunk = if extent.first > last.next() {
                None
            } else {
                self.chunk(extent, file.as_deref())?
            };
            let Some(rest) = chunk.as_ref().and_then(|chunk| chunk.after(last)) else {
                break;
            };
            let head = rest.head(left);
            if head.bytes() > left && !chunks.is_empty() {
                break;
            }
            let is_whole = head.len() == rest.len();
            left = left.saturating_sub(head.bytes());
            last = head.last();
            chunks.push(head);
            if !is_whole {
                break;
            }
        }
        if chunks.is_empty() {
            let lsn = after.lsn.next();
            return Err(StoreError::Corrupt { lsn });
        }
        Ok(RecordPage {
            chunks,
            state: self.state,
        })
    }

    /// Reads the records of an extent; returns `None` if they are corrupt.
    fn chunk(&self, extent: &Extent, file: Option<&File>) -> Result<Option<Chunk>, StoreError> {
        let Some(file) = file else {
            return Ok(None);
        };
        match segments::read(file, extent.location) {
            Ok(bytes) => Ok(frame::read_extent(&bytes, self.number, extent)),
            // The file was truncated.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(StoreError::unavailable(false, error)),
        }
    }
}
