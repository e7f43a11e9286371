use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use crate::location::FrameLocation;

/// The number of bytes in the files that are still needed. Clones share one count.
#[derive(Debug, Clone, Default)]
pub(crate) struct LiveBytes(Arc<AtomicU64>);

impl LiveBytes {
    /// Replaces the needed bytes of one session by a new number.
    pub(crate) fn update(&self, before: u64, after: u64) {
        self.0.fetch_add(after.wrapping_sub(before), SeqCst);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(SeqCst)
    }
}

/// The location of a tombstone, whose bytes count as needed until this is dropped.
#[derive(Debug)]
pub(crate) struct TombstoneLocation {
    location: FrameLocation,
    live_bytes: LiveBytes,
}

impl TombstoneLocation {
    pub(crate) fn new(location: FrameLocation, live_bytes: &LiveBytes) -> Self {
        live_bytes.update(0, location.len.into());
        Self {
            location,
            live_bytes: live_bytes.clone(),
        }
    }

    pub(crate) fn segment(&self) -> u32 {
        self.location.segment
    }
}

impl Drop for TombstoneLocation {
    fn drop(&mut self) {
        self.live_bytes.update(self.location.len.into(), 0);
    }
}
