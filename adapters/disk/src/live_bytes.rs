use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

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
