//! Puts small pieces together, and gives space back.
//!
//! A session's appends lie among those of all others. Once there are many, or it is sealed, they are
//! written once more in one place. Space is given back from the oldest file on: what is still needed
//! of it is written again at the end, and the file is removed. That happens while more is dead than
//! alive, so each byte that stays is moved about once for each byte that goes.

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

/// What there is to do beside what is asked for.
#[derive(Debug)]
pub(crate) struct Compactor {
    pub(crate) live: LiveBytes,
    slack: u64,
    untidy: VecDeque<Arc<TableEntry<DiskSession>>>,
    // The oldest file, while it is emptied, and who still lies in it.
    emptying: Option<(u32, VecDeque<Arc<TableEntry<DiskSession>>>)>,
    // Not before then: something in the oldest file can't be read.
    stuck_until: Duration,
    now: Duration,
}

/// How many bytes of the files are needed. Clones are the same count.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveBytes(Arc<AtomicU64>);

impl LiveBytes {
    /// So many bytes were needed of a session, and so many are now.
    pub(crate) fn changed(&self, before: u64, after: u64) {
        self.0.fetch_add(after.wrapping_sub(before), SeqCst);
    }

    fn bytes(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

/// So many bytes are written in one step, so that nobody waits for long.
const STEP: usize = 256 << 10;
/// A piece that is put together.
const RUN: usize = 64 << 10;
/// After this time what could not be read is tried again: its session may be gone by then.
const STUCK: Duration = Duration::from_secs(60);

impl Compactor {
    pub(crate) fn new(live: LiveBytes, slack: u64) -> Self {
        Self {
            live,
            slack,
            untidy: VecDeque::new(),
            emptying: None,
            stuck_until: Duration::ZERO,
            now: Duration::ZERO,
        }
    }

    pub(crate) fn queue(&mut self, entry: Arc<TableEntry<DiskSession>>) {
        self.untidy.push_back(entry);
    }

    /// Whether there is anything to do.
    pub(crate) fn is_due(&self, segments: &Segments) -> bool {
        !self.untidy.is_empty() || self.emptying.is_some() || self.is_wasteful(segments)
    }

    fn is_wasteful(&self, segments: &Segments) -> bool {
        let live = self.live.bytes();
        let dead = segments.bytes().saturating_sub(live);
        dead > live.saturating_add(self.slack)
            && segments.oldest().is_some()
            && self.now >= self.stuck_until
    }

    /// Does a part of it.
    pub(crate) fn step(&mut self, work: &mut WriteBatch, segments: &Segments) {
        self.now = work.now;
        let until = work.bytes() + STEP;
        while work.bytes() < until {
            let Some(entry) = self.untidy.pop_front() else {
                break;
            };
            let rows = {
                let mut kept = entry.lock();
                kept.queued = false;
                let rows = kept.rows();
                kept.tidied();
                rows
            };
            if let Some(at) = draft(work, &entry) {
                for row in rows {
                    rewrite(work, at, &row);
                }
            }
        }
        if self.emptying.is_none() && self.is_wasteful(segments) {
            let oldest = segments.oldest();
            self.emptying = oldest.map(|segment| (segment, work.sessions_in(segment)));
        }
        let Some((segment, entries)) = &mut self.emptying else {
            return;
        };
        while work.bytes() < until {
            let Some(entry) = entries.pop_front() else {
                return;
            };
            match empty(work, &entry, *segment) {
                RewriteProgress::All => {}
                RewriteProgress::Some => {
                    // The rest is looked at anew once this is stable.
                    entries.push_front(entry);
                    return;
                }
                RewriteProgress::Stuck => {
                    tracing::error!(segment, "a part of the store can't be read; its file stays");
                    self.emptying = None;
                    self.stuck_until = work.now.saturating_add(STUCK);
                    return;
                }
            }
        }
    }

    /// Whether the time has to be written before a file goes: what has expired by now has then
    /// expired whatever the host's clock shows when the store is opened again.
    pub(crate) fn wants_time(&self) -> bool {
        self.is_emptied().is_some()
    }

    fn is_emptied(&self) -> Option<u32> {
        let (segment, entries) = self.emptying.as_ref()?;
        entries.is_empty().then_some(*segment)
    }

    /// Removes the oldest file, if nothing in it is needed any more.
    pub(crate) fn remove(&mut self, segments: &mut Segments) {
        let Some(segment) = self.is_emptied() else {
            return;
        };
        self.emptying = None;
        if let Err(error) = segments.remove(segment) {
            tracing::error!(segment, %error, "a file that nobody needs can't be removed");
            self.stuck_until = self.now.saturating_add(STUCK);
        }
    }
}

/// The draft of this session, if it is still the one under its id.
fn draft(work: &mut WriteBatch, entry: &Arc<TableEntry<DiskSession>>) -> Option<usize> {
    let at = work.draft(&entry.id).ok()?;
    (work.at(at).number == entry.number).then_some(at)
}

/// How much of what a session has in a file was written again.
enum RewriteProgress {
    All,
    Some,
    /// Not all of it can be read.
    Stuck,
}

/// Writes again what of a session lies in this file, or as much as is right for one step.
fn empty(
    work: &mut WriteBatch,
    entry: &Arc<TableEntry<DiskSession>>,
    segment: u32,
) -> RewriteProgress {
    let Some(at) = draft(work, entry) else {
        return RewriteProgress::All;
    };
    let (mut extents, base, latest) = {
        let kept = entry.lock();
        let there = kept.extents.iter().filter(|e| e.place.segment == segment);
        let extents: Vec<Extent> = there.copied().collect();
        let base = kept.base_is_in(segment);
        (extents, base, kept.latest.segment == segment)
    };
    if work.at(at).machine.check_present(work.now).is_err() {
        extents.clear();
    }
    let mut bytes = 0;
    let now = extents.iter().take_while(|extent| {
        let fits = bytes < STEP;
        bytes += extent.bytes as usize;
        fits
    });
    let now = now.count();
    for row in extents[..now].chunk_by(|a, b| a.last().next() == b.first) {
        if !rewrite(work, at, row) {
            return RewriteProgress::Stuck;
        }
    }
    if now < extents.len() {
        return RewriteProgress::Some;
    }
    if base {
        if !work.move_base(at) {
            return RewriteProgress::Stuck;
        }
    } else if latest {
        work.write_state(at);
    }
    RewriteProgress::All
}

/// Writes extents that follow one another again, as few large ones. Says whether all could be read.
fn rewrite(work: &mut WriteBatch, at: usize, row: &[Extent]) -> bool {
    let number = work.at(at).number;
    let mut run: Vec<Chunk> = Vec::new();
    let mut bytes = 0;
    let mut all = true;
    for extent in row {
        let chunk = work.chunk(number, extent);
        let ends = match (&chunk, run.last()) {
            (None, _) => true,
            (Some(chunk), Some(last)) => bytes >= RUN || last.epoch() != chunk.epoch(),
            (Some(_), None) => false,
        };
        if ends && !run.is_empty() {
            work.write_run(at, &run);
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
        work.write_run(at, &run);
    }
    all
}
