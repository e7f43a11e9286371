//! Compacts sessions, and frees space.
//!
//! The appends of a session lie among those of all others. Once there are many, or the session is
//! sealed, they are written again as one run. Space is freed from the oldest file on: its live frames
//! are written again at the end, and the file is removed. That happens while more bytes are dead than
//! live, so each live byte is moved about once for each dead byte that is freed.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use super::{
    segments::Segments,
    session::{DiskSession, Extent},
    write_batch::WriteBatch,
};
use unbroken::{log::Chunk, store::table::TableEntry};

/// The background work of the writer thread.
#[derive(Debug)]
pub(crate) struct Compactor {
    pub(crate) live_bytes: LiveBytes,
    slack: u64,
    queue: VecDeque<Arc<TableEntry<DiskSession>>>,
    // The oldest file while it is rewritten, with the sessions that still have frames in it.
    rewriting: Option<(u32, VecDeque<Arc<TableEntry<DiskSession>>>)>,
    // The time of the next attempt, after a part of the oldest file could not be read.
    stuck_until: Duration,
    now: Duration,
}

/// The number of live bytes in all files. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveBytes(Arc<AtomicU64>);

impl LiveBytes {
    /// Replaces the live bytes of a session in the count.
    pub(crate) fn changed(&self, before: u64, after: u64) {
        self.0.fetch_add(after.wrapping_sub(before), SeqCst);
    }

    fn bytes(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

/// The most bytes of one step, which bounds the delay of other writes.
const STEP: usize = 256 << 10;
/// The size in bytes of a run.
const RUN: usize = 64 << 10;
/// The time until the next attempt to read a corrupt part, whose session may be gone by then.
const STUCK: Duration = Duration::from_secs(60);

impl Compactor {
    pub(crate) fn new(live_bytes: LiveBytes, slack: u64) -> Self {
        Self {
            live_bytes,
            slack,
            queue: VecDeque::new(),
            rewriting: None,
            stuck_until: Duration::ZERO,
            now: Duration::ZERO,
        }
    }

    pub(crate) fn enqueue(&mut self, entry: Arc<TableEntry<DiskSession>>) {
        self.queue.push_back(entry);
    }

    /// Returns true if there is work.
    pub(crate) fn is_due(&self, segments: &Segments) -> bool {
        !self.queue.is_empty() || self.rewriting.is_some() || self.has_dead_space(segments)
    }

    fn has_dead_space(&self, segments: &Segments) -> bool {
        let live_bytes = self.live_bytes.bytes();
        let dead = segments.bytes().saturating_sub(live_bytes);
        dead > live_bytes.saturating_add(self.slack)
            && segments.oldest().is_some()
            && self.now >= self.stuck_until
    }

    /// Does one step of the work.
    pub(crate) fn step(&mut self, batch: &mut WriteBatch, segments: &Segments) {
        self.now = batch.now;
        let until = batch.bytes() + STEP;
        while batch.bytes() < until {
            let Some(entry) = self.queue.pop_front() else {
                break;
            };
            let runs = {
                let mut session = entry.lock();
                session.queued = false;
                let runs = session.small_runs();
                session.mark_compacted();
                runs
            };
            if let Some(at) = pending(batch, &entry) {
                for extents in runs {
                    rewrite(batch, at, &extents);
                }
            }
        }
        if self.rewriting.is_none() && self.has_dead_space(segments) {
            let oldest = segments.oldest();
            self.rewriting = oldest.map(|segment| (segment, batch.sessions_in(segment)));
        }
        let Some((segment, entries)) = &mut self.rewriting else {
            return;
        };
        while batch.bytes() < until {
            let Some(entry) = entries.pop_front() else {
                return;
            };
            match rewrite_session(batch, &entry, *segment) {
                RewriteProgress::All => {}
                RewriteProgress::Some => {
                    // The rest follows once this step is stable.
                    entries.push_front(entry);
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
    }

    /// Returns true if the time must be written before a file is removed. A session that has expired
    /// by now is then expired after a restart too, whatever the clock of the host shows.
    pub(crate) fn needs_time(&self) -> bool {
        self.rewritten_segment().is_some()
    }

    fn rewritten_segment(&self) -> Option<u32> {
        let (segment, entries) = self.rewriting.as_ref()?;
        entries.is_empty().then_some(*segment)
    }

    /// Removes the oldest file, if all its live frames were rewritten.
    pub(crate) fn remove(&mut self, segments: &mut Segments) {
        let Some(segment) = self.rewritten_segment() else {
            return;
        };
        self.rewriting = None;
        if let Err(error) = segments.remove(segment) {
            tracing::error!(segment, %error, "a file without live records can't be removed");
            self.stuck_until = self.now.saturating_add(STUCK);
        }
    }
}

/// Returns the index of a session in the batch, if it is still the one with its id.
fn pending(batch: &mut WriteBatch, entry: &Arc<TableEntry<DiskSession>>) -> Option<usize> {
    let at = batch.pending(&entry.id).ok()?;
    (batch.at(at).number == entry.number).then_some(at)
}

/// The progress of rewriting a session.
enum RewriteProgress {
    All,
    Some,
    /// A part can't be read.
    Stuck,
}

/// Writes the live frames of a session in a segment again, at most about one step.
fn rewrite_session(
    batch: &mut WriteBatch,
    entry: &Arc<TableEntry<DiskSession>>,
    segment: u32,
) -> RewriteProgress {
    let Some(at) = pending(batch, entry) else {
        return RewriteProgress::All;
    };
    let (mut extents, base, latest) = {
        let session = entry.lock();
        let there = session
            .extents
            .iter()
            .filter(|e| e.location.segment == segment);
        let extents: Vec<Extent> = there.copied().collect();
        let base = session.base_is_in(segment);
        (extents, base, session.latest.segment == segment)
    };
    if batch.at(at).machine.check_present(batch.now).is_err() {
        extents.clear();
    }
    let mut bytes = 0;
    let now = extents.iter().take_while(|extent| {
        let fits = bytes < STEP;
        bytes += extent.bytes as usize;
        fits
    });
    let now = now.count();
    for extents in extents[..now].chunk_by(|a, b| a.last().next() == b.first) {
        if !rewrite(batch, at, extents) {
            return RewriteProgress::Stuck;
        }
    }
    if now < extents.len() {
        return RewriteProgress::Some;
    }
    if base {
        if !batch.move_base(at) {
            return RewriteProgress::Stuck;
        }
    } else if latest {
        batch.write_state(at);
    }
    RewriteProgress::All
}

/// Writes extents that follow one another again, as few large ones. Returns false if a part can't be
/// read.
fn rewrite(batch: &mut WriteBatch, at: usize, extents: &[Extent]) -> bool {
    let number = batch.at(at).number;
    let mut run: Vec<Chunk> = Vec::new();
    let mut bytes = 0;
    let mut all = true;
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
            None => all = false,
        }
    }
    if !run.is_empty() {
        batch.write_run(at, &run);
    }
    all
}
