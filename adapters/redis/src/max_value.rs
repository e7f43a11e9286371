use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most bytes of a value in a command, as far as it is known.
#[derive(Debug)]
pub(crate) struct MaxValue(AtomicUsize);

/// The least `proto-max-bulk-len` that can be set.
const LEAST: usize = 1 << 20;

impl MaxValue {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// Learns that the server did not take a value of so many bytes. Such a refusal costs a connection, so from
    /// now on only values that every server takes are sent. It may also be lost with that connection; a repetition
    /// of the command gets it then.
    pub(crate) fn refused(&self, bytes: usize) {
        let before = self
            .0
            .fetch_min(LEAST.min(bytes.saturating_sub(1)), Relaxed);
        tracing::warn!(
            bytes,
            before,
            now = self.get(),
            "Redis does not take a value of this size, and hides its limit; set proto-max-bulk-len higher, or let \
             the store read it"
        );
    }
}
