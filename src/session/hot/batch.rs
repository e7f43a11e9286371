use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{BATCH_BYTES, Budget};
use crate::log::Chunk;

/// Consecutive records that a reader gives at once.
#[derive(Debug, Clone)]
pub struct Batch {
    chunk: Chunk,
    shared: Option<Arc<Encodings>>,
}

impl Batch {
    /// Returns the records.
    pub fn chunk(&self) -> &Chunk {
        &self.chunk
    }

    /// Returns the batch in the encoding that `key` names. Calls `encode`, unless another reader of
    /// this live batch has encoded it already.
    ///
    /// For one key, `encode` must return equal bytes for equal chunks of one session.
    pub fn encoded(&self, key: &'static str, encode: impl FnOnce(&Chunk) -> Bytes) -> Bytes {
        match &self.shared {
            Some(shared) => shared.get(key, || encode(&self.chunk)),
            None => encode(&self.chunk),
        }
    }

    /// Returns true if other readers may need the encodings of this batch too.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Returns the first records that are within the limits, at least one.
    pub(crate) fn limit(self, limits: BatchLimits) -> Self {
        if self.is_shared() && limits.keeps_shared {
            return self;
        }
        let head = self.chunk.head(limits.bytes.min(BATCH_BYTES));
        let last = head.first().plus(limits.records.max(1)).before();
        let head = head.up_to(last).unwrap_or(head);
        if head.len() == self.chunk.len() {
            return self;
        }
        Self::new(head, None)
    }

    pub(crate) fn new(chunk: Chunk, shared: Option<Arc<Encodings>>) -> Self {
        Self { chunk, shared }
    }
}

/// The limits of one batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    /// The most bytes of records; never more than [`BATCH_BYTES`].
    pub(crate) bytes: usize,
    /// The most records.
    pub(crate) records: u64,
    /// True if a batch that other readers share is given as a whole.
    pub(crate) keeps_shared: bool,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            bytes: BATCH_BYTES,
            records: u64::MAX,
            keeps_shared: true,
        }
    }
}

/// The encodings of a live chunk, counted in the budget.
#[derive(Debug)]
pub(crate) struct Encodings {
    made: Mutex<EncodingCache>,
    budget: Arc<Budget>,
}

#[derive(Debug, Default)]
struct EncodingCache {
    encodings: Vec<(&'static str, Bytes)>,
    closed: bool,
}

impl Encodings {
    /// Creates the encodings of one chunk, without any.
    pub(super) fn of(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            made: Mutex::default(),
            budget: budget.clone(),
        })
    }

    fn get(&self, key: &'static str, encode: impl FnOnce() -> Bytes) -> Bytes {
        // The cache is consistent even if an encoder has panicked.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, encoding)) = made.encodings.iter().find(|(k, _)| *k == key) {
            return encoding.clone();
        }
        let encoding = encode();
        if !made.closed {
            self.budget.take(encoding.len());
            made.encodings.push((key, encoding.clone()));
        }
        encoding
    }

    /// Drops the encodings. Later ones aren't kept.
    pub(super) fn close(&self) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.closed = true;
        let encodings = std::mem::take(&mut made.encodings);
        self.budget
            .give_back(encodings.iter().map(|(_, e)| e.len()).sum());
    }
}

impl Drop for Encodings {
    fn drop(&mut self) {
        self.close();
    }
}
