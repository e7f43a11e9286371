//! The indexes: sorted sets of sessions, which may lag behind the sessions. The documentation of the crate
//! describes how they are corrected.

use std::time::Duration;

mod correct;
mod due;
mod endings;
mod list;
mod names;
mod of_chat;
mod orphans;
mod page;
mod scope;
mod sweep;
mod tombstones;
mod update;
mod withdraw;

pub(crate) use self::{
    names::IndexedNames,
    scope::{IndexScope, STATUSES, service_tag},
};

/// The most entries of an index that are looked up at once.
const BATCH: usize = 128;
/// The most entries that one call looks up. A list that has met as many lagging entries is continued by its
/// next page; further orphans and expired sessions wait for the next call.
const MAX_ENTRIES: usize = 4096;
/// The age in microseconds of an entry without a session that is removed. An entry is written before its
/// session is created.
const GRACE: u64 = 60_000_000;

/// The longest time until a sealed session is looked at again whose ending waits for its delivery, in case the entry
/// of the ending was lost.
const ENDING_CHECK: Duration = Duration::from_secs(600);

/// Logs a failed write to an index, which is corrected later.
pub(crate) fn log_deferred(error: &unbroken::store::StoreError) {
    tracing::debug!(%error, "an index of sessions lags");
}
