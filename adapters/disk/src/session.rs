use unbroken::{
    log::{Epoch, EpochTag, Lsn},
    store::{machine::SessionMachine, table::HasMachine},
};

/// A session in memory: its state machine, and the locations of its frames on the disk.
#[derive(Debug)]
pub(crate) struct DiskSession {
    pub(crate) machine: SessionMachine,
    /// The location of the last base.
    pub(crate) base: FrameLocation,
    /// The location of the last state; may be `base` or an extent.
    pub(crate) latest: FrameLocation,
    /// The extents of the records, in order.
    pub(crate) extents: Vec<Extent>,
    // The locations of the answers after the base.
    answers: Vec<FrameLocation>,
    // The first LSN of each epoch that wrote.
    epochs: Vec<(Lsn, Epoch)>,
    // The LSN up to which the records were compacted.
    compacted_to: Lsn,
    // The bytes of the files that are still needed.
    live_bytes: u64,
    /// True if the session waits for compaction.
    pub(crate) queued: bool,
    /// True if the records were dropped because the session is gone.
    pub(crate) discarded: bool,
}

/// The location of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameLocation {
    pub(crate) segment: u32,
    pub(crate) at: u32,
    pub(crate) len: u32,
}

/// The records of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: Lsn,
    pub(crate) count: u32,
    /// The bytes of the records alone.
    pub(crate) bytes: u32,
    pub(crate) location: FrameLocation,
}

/// A change of a session by a frame that was written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FrameChange {
    Base(FrameLocation),
    State(FrameLocation),
    Append(Extent, Epoch),
    Run(Extent, Epoch),
    Answer(FrameLocation),
    /// The session and its records are gone.
    Clear,
}

/// The size in bytes from which an extent is not compacted.
const SMALL: u32 = 32 << 10;
/// The number of extents, and the bytes of small ones, from which a running session is compacted.
const MAX_PENDING: usize = 256;
const MAX_SMALL_BYTES: u32 = 256 << 10;
/// The most small extents of a sealed session that is not compacted.
const SEALED_MAX_SMALL: usize = 8;

impl Extent {
    pub(crate) fn last(&self) -> Lsn {
        self.first.plus(u64::from(self.count) - 1)
    }
}

impl FrameLocation {
    /// Sets the segment and the start of a batch that was written.
    pub(crate) fn relocate(&mut self, segment: u32, start: u32) {
        self.segment = segment;
        self.at += start;
    }
}

impl FrameChange {
    pub(crate) fn relocate(&mut self, segment: u32, start: u32) {
        match self {
            Self::Base(location) | Self::State(location) | Self::Answer(location) => {
                location.relocate(segment, start);
            }
            Self::Append(extent, _) | Self::Run(extent, _) => {
                extent.location.relocate(segment, start)
            }
            Self::Clear => {}
        }
    }
}

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
            discarded: false,
        }
    }

    pub(crate) fn apply(&mut self, change: FrameChange) {
        match change {
            FrameChange::Base(location) => {
                self.live_bytes =
                    self.live_bytes - u64::from(self.base.len) + u64::from(location.len);
                (self.base, self.latest) = (location, location);
                // The base contains all answers.
                self.drop_answers();
            }
            FrameChange::State(location) => self.latest = location,
            FrameChange::Append(extent, epoch) => {
                self.latest = extent.location;
                self.insert(extent, epoch);
                if self.machine.is_sealed() {
                    self.drop_answers();
                }
            }
            FrameChange::Run(extent, epoch) => {
                self.compacted_to = self.compacted_to.max(extent.last());
                self.insert(extent, epoch);
            }
            FrameChange::Answer(location) => {
                self.live_bytes += u64::from(location.len);
                self.answers.push(location);
            }
            FrameChange::Clear => self.discard(),
        }
    }

    /// Drops everything that a tombstone doesn't need.
    pub(crate) fn discard(&mut self) {
        self.live_bytes = self.base.len.into();
        self.extents = Vec::new();
        self.answers = Vec::new();
        self.epochs = Vec::new();
        self.discarded = true;
    }

    /// Marks the frames of the answers as dead.
    fn drop_answers(&mut self) {
        for location in std::mem::take(&mut self.answers) {
            self.live_bytes -= u64::from(location.len);
        }
    }

    /// Inserts an extent in place of those that it covers.
    fn insert(&mut self, extent: Extent, epoch: Epoch) {
        let from = self.extents.partition_point(|e| e.first < extent.first);
        let covered = self.extents[from..].partition_point(|e| e.last() <= extent.last());
        let run = from..from + covered;
        for former in &self.extents[run.clone()] {
            self.live_bytes -= u64::from(former.location.len);
        }
        self.live_bytes += u64::from(extent.location.len);
        self.extents.splice(run, [extent]);
        let at = self
            .epochs
            .partition_point(|&(first, _)| first <= extent.first);
        let goes_on = at > 0 && self.epochs[at - 1].1 == epoch;
        match self.epochs.get_mut(at) {
            _ if goes_on => {}
            Some((first, next)) if *next == epoch => *first = extent.first,
            _ => self.epochs.insert(at, (extent.first, epoch)),
        }
    }

    /// Returns the tag of the epoch that wrote the record at an LSN, if there is one.
    pub(crate) fn tag_at(&self, lsn: Lsn) -> Option<EpochTag> {
        if lsn > self.machine.tail() {
            return None;
        }
        let at = self.epochs.partition_point(|&(first, _)| first <= lsn);
        Some(self.epochs.get(at.checked_sub(1)?)?.1.tag())
    }

    /// Returns the extents with the records after an LSN.
    pub(crate) fn after(&self, lsn: Lsn) -> &[Extent] {
        &self.extents[self.extents.partition_point(|e| e.last() <= lsn)..]
    }

    /// Returns the bytes of the files that are still needed.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Marks all present records as compacted.
    pub(crate) fn mark_compacted(&mut self) {
        self.compacted_to = self.machine.tail();
    }

    /// Returns true if the session should be compacted.
    pub(crate) fn needs_compaction(&self) -> bool {
        if self.machine.is_sealed() {
            let small = self.extents.iter().filter(|e| e.is_small());
            return self.compacted_to < self.machine.tail() && small.count() > SEALED_MAX_SMALL;
        }
        let pending = self.after(self.compacted_to);
        pending.len() >= MAX_PENDING || (pending.len() > 1 && self.small_bytes() >= MAX_SMALL_BYTES)
    }

    fn small_bytes(&self) -> u32 {
        let pending = self
            .after(self.compacted_to)
            .iter()
            .filter(|e| e.is_small());
        pending.map(|e| e.bytes).fold(0, u32::saturating_add)
    }

    /// Returns the longest runs of small extents that follow one another.
    pub(crate) fn small_runs(&self) -> Vec<Vec<Extent>> {
        let from = if self.machine.is_sealed() {
            Lsn::ZERO
        } else {
            self.compacted_to
        };
        let small_runs = self
            .after(from)
            .chunk_by(|a, b| a.is_small() && b.is_small() && a.last().next() == b.first);
        small_runs
            .filter(|run| run.len() > 1)
            .map(<[Extent]>::to_vec)
            .collect()
    }

    /// Returns true if a segment has anything that the session needs.
    pub(crate) fn is_in(&self, segment: u32) -> bool {
        let state = self.base_is_in(segment) || self.latest.segment == segment;
        state || self.extents.iter().any(|e| e.location.segment == segment)
    }

    /// Returns true if a segment has the base, or an answer that a new base would contain.
    pub(crate) fn base_is_in(&self, segment: u32) -> bool {
        let mut all = self.answers.iter().chain([&self.base]);
        all.any(|location| location.segment == segment)
    }
}

impl Extent {
    fn is_small(&self) -> bool {
        self.bytes < SMALL
    }
}

impl HasMachine for DiskSession {
    fn machine(&self) -> &SessionMachine {
        &self.machine
    }
}
