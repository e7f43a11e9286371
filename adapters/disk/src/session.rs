use unbroken::{
    log::{Epoch, EpochTag, Lsn},
    store::{
        machine::SessionMachine,
        table::{HasMachine, SessionTable},
    },
};

use crate::{
    live_bytes::TombstoneLocation,
    location::{Extent, FrameChange, FrameLocation},
};

/// The sessions and tombstones of a store.
pub(crate) type DiskTable = SessionTable<DiskSession, TombstoneLocation>;

/// The data of a session in memory: its state, and the locations of its records on the disk.
#[derive(Debug)]
pub(crate) struct DiskSession {
    pub(crate) machine: SessionMachine,
    /// The location of the last base.
    pub(crate) base: FrameLocation,
    /// The location of the last state, which may be within `base` or an extent.
    pub(crate) latest: FrameLocation,
    /// The records, in order.
    pub(crate) extents: Vec<Extent>,
    // The answers that were written after the base.
    answers: Vec<FrameLocation>,
    // Each epoch with the first LSN that it wrote.
    epochs: Vec<(Lsn, Epoch)>,
    // The LSN up to which the records were merged.
    compacted_to: Lsn,
    // The bytes of the files that are still needed.
    live_bytes: u64,
    /// True while the session waits in the compactor's queue.
    pub(crate) queued: bool,
}

/// The number of extents that a running session adds before they are merged.
const MAX_RECENT: usize = 256;
/// The bytes of small extents that a running session adds before they are merged.
const MAX_SMALL_BYTES: u32 = 256 << 10;
/// The number of small extents that a sealed session may have without being merged.
const MAX_SMALL_SEALED: usize = 8;

impl DiskSession {
    pub(crate) fn new(machine: SessionMachine, base: FrameLocation) -> Self {
        Self {
            machine,
            base,
            latest: base,
            extents: Vec::new(),
            answers: Vec::new(),
            epochs: Vec::new(),
            compacted_to: Lsn::ZERO,
            live_bytes: base.len.into(),
            queued: false,
        }
    }

    pub(crate) fn apply(&mut self, change: FrameChange) {
        match change {
            FrameChange::Base(location) => {
                self.live_bytes =
                    self.live_bytes - u64::from(self.base.len) + u64::from(location.len);
                (self.base, self.latest) = (location, location);
                // The base contains all answers.
                self.discard_answers();
            }
            FrameChange::State(location) => self.latest = location,
            FrameChange::Append(extent, epoch) => {
                self.latest = extent.location;
                self.insert_extent(extent, epoch);
                if self.machine.is_sealed() {
                    self.discard_answers();
                }
            }
            FrameChange::Run(extent, epoch) => {
                self.compacted_to = self.compacted_to.max(extent.last());
                self.insert_extent(extent, epoch);
            }
            FrameChange::Answer(location) => {
                self.live_bytes += u64::from(location.len);
                self.answers.push(location);
            }
        }
        if self.machine.is_deleted() {
            self.discard_records();
        }
    }

    /// Drops the locations of the records, whose frames are no longer needed. The session stays as long as
    /// its ending is in the outbox.
    fn discard_records(&mut self) {
        for extent in std::mem::take(&mut self.extents) {
            self.live_bytes -= u64::from(extent.location.len);
        }
        self.epochs = Vec::new();
    }

    /// Drops the locations of the answers, whose frames are no longer needed.
    fn discard_answers(&mut self) {
        for location in std::mem::take(&mut self.answers) {
            self.live_bytes -= u64::from(location.len);
        }
    }

    /// Inserts an extent, and removes those that it covers.
    fn insert_extent(&mut self, extent: Extent, epoch: Epoch) {
        let from = self.extents.partition_point(|e| e.first < extent.first);
        let covered = self.extents[from..].partition_point(|e| e.last() <= extent.last());
        let covered = from..from + covered;
        for former in &self.extents[covered.clone()] {
            self.live_bytes -= u64::from(former.location.len);
        }
        self.live_bytes += u64::from(extent.location.len);
        self.extents.splice(covered, [extent]);
        let at = self
            .epochs
            .partition_point(|&(first, _)| first <= extent.first);
        let continues = at > 0 && self.epochs[at - 1].1 == epoch;
        match self.epochs.get_mut(at) {
            _ if continues => {}
            Some((first, next)) if *next == epoch => *first = extent.first,
            _ => self.epochs.insert(at, (extent.first, epoch)),
        }
    }

    /// Returns the tag of the epoch that wrote the record at `lsn`, if there is that record.
    pub(crate) fn tag_at(&self, lsn: Lsn) -> Option<EpochTag> {
        if lsn > self.machine.tail() {
            return None;
        }
        let at = self.epochs.partition_point(|&(first, _)| first <= lsn);
        Some(self.epochs.get(at.checked_sub(1)?)?.1.tag())
    }

    /// Returns the extents with the records after `lsn`.
    pub(crate) fn after(&self, lsn: Lsn) -> &[Extent] {
        &self.extents[self.extents.partition_point(|e| e.last() <= lsn)..]
    }

    /// Returns the bytes of the files that are still needed.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Notes that all records up to the tail were merged. Returns the former mark.
    pub(crate) fn mark_compacted(&mut self) -> Lsn {
        std::mem::replace(&mut self.compacted_to, self.machine.tail())
    }

    /// Takes back a [`mark`](Self::mark_compacted).
    pub(crate) fn unmark_compacted(&mut self, former: Lsn) {
        self.compacted_to = former;
    }

    /// Returns true if there are enough small extents to merge.
    pub(crate) fn needs_compaction(&self) -> bool {
        if self.machine.is_sealed() {
            let small = self.extents.iter().filter(|e| e.is_small());
            return self.compacted_to < self.machine.tail() && small.count() > MAX_SMALL_SEALED;
        }
        let recent = self.after(self.compacted_to);
        recent.len() >= MAX_RECENT || (recent.len() > 1 && self.small_bytes() >= MAX_SMALL_BYTES)
    }

    fn small_bytes(&self) -> u32 {
        let small = self
            .after(self.compacted_to)
            .iter()
            .filter(|e| e.is_small());
        small.map(|e| e.bytes).fold(0, u32::saturating_add)
    }

    /// Returns the longest runs of small extents that follow one another.
    pub(crate) fn small_runs(&self) -> Vec<Vec<Extent>> {
        let from = if self.machine.is_sealed() {
            Lsn::ZERO
        } else {
            self.compacted_to
        };
        let runs = self
            .after(from)
            .chunk_by(|a, b| a.is_small() && b.is_small() && a.last().next() == b.first);
        runs.filter(|run| run.len() > 1)
            .map(<[Extent]>::to_vec)
            .collect()
    }

    /// Returns true if the session needs a frame of this segment.
    pub(crate) fn uses_segment(&self, segment: u32) -> bool {
        let state = self.base_uses_segment(segment) || self.latest.segment == segment;
        state || self.extents.iter().any(|e| e.location.segment == segment)
    }

    /// Returns true if the base, or an answer that a new base would contain, lies in this segment.
    pub(crate) fn base_uses_segment(&self, segment: u32) -> bool {
        let mut all = self.answers.iter().chain([&self.base]);
        all.any(|location| location.segment == segment)
    }
}

impl HasMachine for DiskSession {
    fn machine(&self) -> &SessionMachine {
        &self.machine
    }
}
