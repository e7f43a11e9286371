use unbroken::{
    log::{Epoch, EpochTag, Lsn},
    store::{machine::SessionMachine, table::HasMachine},
};

/// What is kept in memory of a session: where it stands, and where on the disk its records are.
#[derive(Debug)]
pub(crate) struct DiskSession {
    pub(crate) machine: SessionMachine,
    /// Where its last base is.
    pub(crate) base: FrameLocation,
    /// Where its last state is; may be within `base` or an extent.
    pub(crate) latest: FrameLocation,
    /// In order.
    pub(crate) extents: Vec<Extent>,
    /// Where the answers are that came after the base.
    answers: Vec<FrameLocation>,
    // From which LSN on each epoch wrote.
    epochs: Vec<(Lsn, Epoch)>,
    // Up to which LSN the records were put together.
    tidy: Lsn,
    // How many bytes of the files are still needed.
    live: u64,
    /// Whether it waits to be put together.
    pub(crate) queued: bool,
    /// Whether the records were dropped because the session is gone.
    pub(crate) cleared: bool,
}

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameLocation {
    pub(crate) segment: u32,
    pub(crate) at: u32,
    pub(crate) len: u32,
}

/// A frame with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: Lsn,
    pub(crate) count: u32,
    /// Of the records alone.
    pub(crate) bytes: u32,
    pub(crate) place: FrameLocation,
}

/// What a frame that was written changes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FrameChange {
    Base(FrameLocation),
    State(FrameLocation),
    Append(Extent, Epoch),
    Run(Extent, Epoch),
    Answer(FrameLocation),
    /// The session is gone, and its records with it.
    Clear,
}

/// Extents that are larger are left as they are.
const SMALL: u32 = 32 << 10;
/// So many small extents, or small ones of so many bytes, are put together.
const MANY: usize = 256;
const MUCH: u32 = 256 << 10;
/// A sealed session is put together if it lies in more small extents than this.
const FEW: usize = 8;

impl Extent {
    pub(crate) fn last(&self) -> Lsn {
        self.first.plus(u64::from(self.count) - 1)
    }
}

impl FrameLocation {
    /// The same, in a file of which only the writer knows yet.
    pub(crate) fn settle(&mut self, segment: u32, start: u32) {
        self.segment = segment;
        self.at += start;
    }
}

impl FrameChange {
    pub(crate) fn settle(&mut self, segment: u32, start: u32) {
        match self {
            Self::Base(place) | Self::State(place) | Self::Answer(place) => {
                place.settle(segment, start);
            }
            Self::Append(extent, _) | Self::Run(extent, _) => extent.place.settle(segment, start),
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
            tidy: Lsn::ZERO,
            live: base.len.into(),
            queued: false,
            cleared: false,
        }
    }

    pub(crate) fn apply(&mut self, change: FrameChange) {
        match change {
            FrameChange::Base(place) => {
                self.live = self.live - u64::from(self.base.len) + u64::from(place.len);
                (self.base, self.latest) = (place, place);
                // It has them all.
                self.forget_answers();
            }
            FrameChange::State(place) => self.latest = place,
            FrameChange::Append(extent, epoch) => {
                self.latest = extent.place;
                self.put(extent, epoch);
                if self.machine.is_sealed() {
                    self.forget_answers();
                }
            }
            FrameChange::Run(extent, epoch) => {
                self.tidy = self.tidy.max(extent.last());
                self.put(extent, epoch);
            }
            FrameChange::Answer(place) => {
                self.live += u64::from(place.len);
                self.answers.push(place);
            }
            FrameChange::Clear => self.clear(),
        }
    }

    /// Drops what a tombstone doesn't need.
    pub(crate) fn clear(&mut self) {
        self.live = self.base.len.into();
        self.extents = Vec::new();
        self.answers = Vec::new();
        self.epochs = Vec::new();
        self.cleared = true;
    }

    /// Nobody needs the frames of the answers any more.
    fn forget_answers(&mut self) {
        for place in std::mem::take(&mut self.answers) {
            self.live -= u64::from(place.len);
        }
    }

    /// Puts an extent in, instead of those that it covers.
    fn put(&mut self, extent: Extent, epoch: Epoch) {
        let from = self.extents.partition_point(|e| e.first < extent.first);
        let covered = self.extents[from..].partition_point(|e| e.last() <= extent.last());
        let row = from..from + covered;
        for former in &self.extents[row.clone()] {
            self.live -= u64::from(former.place.len);
        }
        self.live += u64::from(extent.place.len);
        self.extents.splice(row, [extent]);
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

    /// The tag of the epoch that wrote the record there, if there is one.
    pub(crate) fn tag_at(&self, lsn: Lsn) -> Option<EpochTag> {
        if lsn > self.machine.tail() {
            return None;
        }
        let at = self.epochs.partition_point(|&(first, _)| first <= lsn);
        Some(self.epochs.get(at.checked_sub(1)?)?.1.tag())
    }

    /// The extents that have what follows this LSN.
    pub(crate) fn after(&self, lsn: Lsn) -> &[Extent] {
        &self.extents[self.extents.partition_point(|e| e.last() <= lsn)..]
    }

    /// How many bytes of the files are still needed.
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    /// From now on what is there counts as put together.
    pub(crate) fn tidied(&mut self) {
        self.tidy = self.machine.tail();
    }

    /// Whether there is enough to put together.
    pub(crate) fn is_untidy(&self) -> bool {
        if self.machine.is_sealed() {
            let small = self.extents.iter().filter(|e| e.is_small());
            return self.tidy < self.machine.tail() && small.count() > FEW;
        }
        let loose = self.after(self.tidy);
        loose.len() >= MANY || (loose.len() > 1 && self.loose_bytes() >= MUCH)
    }

    fn loose_bytes(&self) -> u32 {
        let loose = self.after(self.tidy).iter().filter(|e| e.is_small());
        loose.map(|e| e.bytes).fold(0, u32::saturating_add)
    }

    /// Small extents that follow one another, the longest such rows.
    pub(crate) fn rows(&self) -> Vec<Vec<Extent>> {
        let from = if self.machine.is_sealed() {
            Lsn::ZERO
        } else {
            self.tidy
        };
        let rows = self
            .after(from)
            .chunk_by(|a, b| a.is_small() && b.is_small() && a.last().next() == b.first);
        rows.filter(|row| row.len() > 1)
            .map(<[Extent]>::to_vec)
            .collect()
    }

    /// Whether anything that is needed lies there.
    pub(crate) fn is_in(&self, segment: u32) -> bool {
        let state = self.base_is_in(segment) || self.latest.segment == segment;
        state || self.extents.iter().any(|e| e.place.segment == segment)
    }

    /// Whether the base lies there, or an answer that it would have if it were written again.
    pub(crate) fn base_is_in(&self, segment: u32) -> bool {
        let mut all = self.answers.iter().chain([&self.base]);
        all.any(|place| place.segment == segment)
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
