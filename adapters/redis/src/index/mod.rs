//! The indexes: sorted sets of session ids, which may lag behind the sessions. The documentation of
//! the crate describes how they are corrected.

mod entry;
mod list;
mod sweep;
mod update;

/// The most entries of an index that are looked up at once.
const BATCH: usize = 128;
/// The most entries that one call looks up. A list of which a filter leaves little then comes in more
/// pages; further orphans and expired sessions wait for the next call.
const MAX_ENTRIES: usize = 4096;

/// Logs a failed write to an index, which is corrected later.
fn log_deferred(error: &unbroken::store::StoreError) {
    tracing::debug!(%error, "an index of sessions lags");
}
