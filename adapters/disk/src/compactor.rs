//! Compaction: merges small extents, and gives space back.
//!
//! The appends of a session lie among those of all others. Once there are many of them, or the session
//! is sealed, they are written once more in one place. Space is given back from the oldest file on:
//! the frames of it that are still needed are written again at the end, and the file is removed. That
//! happens while more bytes are dead than live, so each live byte is moved about once for each byte
//! that is freed.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use unbroken::{
    log::{Chunk, Lsn, SessionId},
    store::table::TableEntry,
};

use crate::{
    live_bytes::LiveBytes, location::Extent, pending::CompactionQueue, segments::Segments,
    session::DiskSession, write_batch::WriteBatch,
};

/// The compaction that the writer does beside its jobs.
#[derive(Debug)]
pub(crate) struct Compactor {
    pub(crate) live_bytes: LiveBytes,
    // The dead bytes that are tolerated beyond the number of live bytes.
    slack: u64,
    /// The sessions to merge.
    pub(crate) queue: CompactionQueue,
    // The sessions whose merge is in the current batch, and the LSN up to which they were merged before.
    taken: Vec<(Arc<TableEntry<DiskSession>>, Lsn)>,
    // True while the disk has no room.
    pressed: bool,
    rewriting: Option<SegmentRewrite>,
    // The time until which no space is given back, because the oldest file can't be read.
    stuck_until: Duration,
    now: Duration,
}

/// The oldest segment while it is rewritten, and the sessions and tombstones that still need it.
#[derive(Debug)]
struct SegmentRewrite {
    segment: u32,
    sessions: VecDeque<Arc<TableEntry<DiskSession>>>,
    tombstones: VecDeque<SessionId>,
}

/// The number of bytes to write in one step, which bounds the wait of the jobs.
const STEP: usize = 256 << 10;
/// The number of bytes from which on a merged extent is complete.
const RUN: usize = 64 << 10;
/// The time after which an unreadable file is tried again, since its session may be gone by then.
const STUCK: Duration = Duration::from_secs(60);

impl Compactor {
    pub(crate) fn new(live_bytes: LiveBytes, slack: u64) -> Self {
        Self {
            live_bytes,
            slack,
            queue: CompactionQueue::new(),
            taken: Vec::new(),
            pressed: false,
            rewriting: None,
            stuck_until: Duration::ZERO,
            now: Duration::ZERO,
        }
    }

    /// Returns true if there is something to compact.
    pub(crate) fn is_due(&self, segments: &Segments) -> bool {
        !self.queue.is_empty() || self.rewriting.is_some() || self.has_dead_space(segments)
    }

    /// Returns true while a file is rewritten in several steps.
    pub(crate) fn is_rewriting(&self) -> bool {
        self.rewriting.is_some()
    }

    fn has_dead_space(&self, segments: &Segments) -> bool {
        let live = self.live_bytes.get();
        let dead = segments.bytes().saturating_sub(live);
        let tolerated = if self.pressed {
            0
        } else {
            live.saturating_add(self.slack)
        };
        dead > tolerated && segments.oldest().is_some() && self.now >= self.stuck_until
    }

    /// Gives space back in the next step although few bytes are dead.
    pub(crate) fn press(&mut self) {
        self.pressed = true;
    }

    /// Adds one step of compaction to a batch, which [`complete`](Self::complete) or
    /// [`undo`](Self::undo) ends.
    pub(crate) fn step(&mut self, batch: &mut WriteBatch, segments: &Segments) {
        self.now = batch.now;
        let until = batch.bytes() + STEP;
        // A merge takes room and gives none back by itself.
        while !self.pressed && batch.bytes() < until {
            let Some(entry) = self.queue.pop_front() else {
                break;
            };
            let runs = {
                let mut session = entry.lock();
                session.queued = false;
                let runs = session.small_runs();
                self.taken.push((entry.clone(), session.mark_compacted()));
                runs
            };
            if let Some(at) = batch.pending_entry(&entry)
                && !batch.is_gone(at)
            {
                for run in runs {
                    rewrite_run(batch, at, &run);
                }
            }
        }
        if self.rewriting.is_none() && self.has_dead_space(segments) {
            let oldest = segments.oldest();
            self.rewriting = oldest.map(|segment| SegmentRewrite {
                segment,
                sessions: batch.sessions_in(segment),
                tombstones: batch.tombstones_in(segment),
            });
        }
        let Some(rewrite) = &mut self.rewriting else {
            return;
        };
        let segment = rewrite.segment;
        while batch.bytes() < until {
            let Some(entry) = rewrite.sessions.pop_front() else {
                break;
            };
            match rewrite_session(batch, &entry, segment) {
                RewriteProgress::Done => {}
                RewriteProgress::Partial => {
                    // The rest is rewritten once this is stable.
                    rewrite.sessions.push_front(entry);
                    return;
                }
                RewriteProgress::Stuck => {
                    tracing::error!(segment, "a part of the store can't be read; its file stays");
                    self.rewriting = None;
                    self.stuck_until = batch.now.saturating_add(STUCK);
                    return;
                }
            }
        }
        while batch.bytes() < until {
            let Some(id) = rewrite.tombstones.pop_front() else {
                return;
            };
            batch.move_tombstone(&id, segment);
        }
    }

    /// Returns true if the time has to be written before a file is removed. Sessions that have expired
    /// by now then count as expired whatever the host's clock shows when the store is opened again.
    pub(crate) fn wants_time(&self) -> bool {
        self.rewritten_segment().is_some()
    }

    fn rewritten_segment(&self) -> Option<u32> {
        let rewrite = self.rewriting.as_ref()?;
        let done = rewrite.sessions.is_empty() && rewrite.tombstones.is_empty();
        done.then_some(rewrite.segment)
    }

    /// Ends a step whose batch was not written.
    pub(crate) fn undo(&mut self) {
        for (entry, compacted_to) in self.taken.drain(..) {
            let mut session = entry.lock();
            session.unmark_compacted(compacted_to);
            if !session.queued {
                session.queued = true;
                drop(session);
                self.queue.push_back(entry);
            }
        }
        // Frames of the file that were in the batch are still needed where they are.
        self.rewriting = None;
        self.pressed = false;
    }

    /// Ends a step whose batch is stable. Removes the oldest file once none of its frames is needed any
    /// more.
    pub(crate) fn complete(&mut self, segments: &mut Segments) {
        self.taken.clear();
        self.pressed = false;
        let Some(segment) = self.rewritten_segment() else {
            return;
        };
        self.rewriting = None;
        if let Err(error) = segments.remove(segment) {
            tracing::error!(segment, %error, "a file that is no longer needed can't be removed");
            self.stuck_until = self.now.saturating_add(STUCK);
        }
    }
}

/// The part of a session's frames in a segment that was written again.
enum RewriteProgress {
    Done,
    Partial,
    /// Some of the frames can't be read.
    Stuck,
}

/// Writes the frames of a session in this segment again, as many as fit into one step.
fn rewrite_session(
    batch: &mut WriteBatch,
    entry: &Arc<TableEntry<DiskSession>>,
    segment: u32,
) -> RewriteProgress {
    let Some(at) = batch.pending_entry(entry) else {
        return RewriteProgress::Done;
    };
    if batch.is_over(at) {
        batch.bury(at);
        return RewriteProgress::Done;
    }
    let (extents, base, latest) = {
        let session = entry.lock();
        let extents = session
            .extents
            .iter()
            .filter(|e| e.location.segment == segment);
        let extents: Vec<Extent> = extents.copied().collect();
        let base = session.base_uses_segment(segment);
        (extents, base, session.latest.segment == segment)
    };
    let mut bytes = 0;
    let count = extents.iter().take_while(|extent| {
        let fits = bytes < STEP;
        bytes += extent.bytes as usize;
        fits
    });
    let count = count.count();
    for run in extents[..count].chunk_by(|a, b| a.last().next() == b.first) {
        if !rewrite_run(batch, at, run) {
            return RewriteProgress::Stuck;
        }
    }
    if count < extents.len() {
        return RewriteProgress::Partial;
    }
    if base {
        if !batch.move_base(at) {
            return RewriteProgress::Stuck;
        }
    } else if latest {
        batch.write_state(at);
    }
    RewriteProgress::Done
}

/// Writes extents that follow one another again as few large ones. Returns false if some of them can't
/// be read.
fn rewrite_run(batch: &mut WriteBatch, at: usize, extents: &[Extent]) -> bool {
    let number = batch.at(at).number;
    let mut run: Vec<Chunk> = Vec::new();
    let mut bytes = 0;
    let mut complete = true;
    for extent in extents {
        let chunk = batch.chunk(number, extent);
        let ends = match (&chunk, run.last()) {
            (None, _) => true,
            (Some(chunk), Some(last)) => bytes >= RUN || last.epoch() != chunk.epoch(),
            (Some(_), None) => false,
        };
        if ends && !run.is_empty() {
            batch.write_run(at, &run);
            run.clear();
            bytes = 0;
        }
        match chunk {
            Some(chunk) => {
                bytes += chunk.bytes();
                run.push(chunk);
            }
            None => complete = false,
        }
    }
    if !run.is_empty() {
        batch.write_run(at, &run);
    }
    complete
}
