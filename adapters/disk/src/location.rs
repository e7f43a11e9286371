//! Locations of frames in the log files, and the changes that frames make to a session.

use unbroken::log::{Epoch, Lsn};

/// The location of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameLocation {
    pub(crate) segment: u32,
    /// The offset of the frame in its segment, in bytes.
    pub(crate) at: u32,
    pub(crate) len: u32,
}

/// A frame with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: Lsn,
    pub(crate) count: u32,
    /// The bytes of the records alone.
    pub(crate) bytes: u32,
    pub(crate) location: FrameLocation,
}

/// The change that a written frame makes to a session in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FrameChange {
    Base(FrameLocation),
    State(FrameLocation),
    Append(Extent, Epoch),
    Run(Extent, Epoch),
    Answer(FrameLocation),
}

/// The segment number of a location within a batch that has no segment yet.
pub(crate) const PENDING: u32 = u32::MAX;

/// The bytes from which on an extent is not merged with others.
const SMALL: u32 = 32 << 10;

impl Extent {
    pub(crate) fn last(&self) -> Lsn {
        self.first.plus(u64::from(self.count) - 1)
    }

    pub(crate) fn is_small(&self) -> bool {
        self.bytes < SMALL
    }
}

impl FrameLocation {
    /// Turns a location within a batch into one within the segment, where the batch begins at
    /// `start`.
    pub(crate) fn relocate(&mut self, segment: u32, start: u32) {
        self.segment = segment;
        self.at += start;
    }
}

impl FrameChange {
    /// Turns locations within a batch into locations within the segment, where the batch begins at
    /// `start`.
    pub(crate) fn relocate(&mut self, segment: u32, start: u32) {
        match self {
            Self::Base(location) | Self::State(location) | Self::Answer(location) => {
                location.relocate(segment, start);
            }
            Self::Append(extent, _) | Self::Run(extent, _) => {
                extent.location.relocate(segment, start);
            }
        }
    }
}
