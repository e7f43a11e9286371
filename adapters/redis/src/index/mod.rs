//! Which sessions there are: sorted sets beside the sessions, which may lag. The crate's
//! documentation says how they come right again.

mod entry;
mod list;
mod sweep;
mod update;

/// So many entries of an index are looked at at once.
const BATCH: usize = 128;
/// So many entries are looked at for one answer. A list that a filter leaves little of comes in more
/// pages then; orphans and what is due wait for the next call.
const MOST: usize = 4096;

/// An index that could not be written to is put right later.
fn late(error: &unbroken::store::StoreError) {
    tracing::debug!(%error, "an index of sessions lags");
}
