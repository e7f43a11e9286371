//! What the tests and the figures share: engines, server processes, clients, and what a log must be.
#![allow(dead_code, reason = "each of them uses a part of it")]

pub(crate) mod calls;
pub(crate) mod client;
pub(crate) mod dice;
pub(crate) mod engine;
pub(crate) mod log;
pub(crate) mod server;
pub(crate) mod team;

use std::time::Duration;

use futures_util::{TryStreamExt, stream::FuturesUnordered};

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Checked = Result<(), Error>;

/// Longer than anything here takes; what waits for it has failed.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The time of an event that somebody waits for, or why it is missing.
pub(crate) async fn soon<T>(what: &str, it: impl Future<Output = T>) -> Result<T, Error> {
    let came = tokio::time::timeout(SOON, it).await;
    came.map_err(|_| format!("never came: {what}").into())
}

/// The share of the sorted times that `percent` says is below the one given.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last * percent).div_ceil(100))
        .copied()
        .unwrap_or_default()
}

/// All that these come to, or the first failure. What is woken is polled, and nothing else.
pub(crate) async fn all<T>(
    these: impl IntoIterator<Item = impl Future<Output = Result<T, Error>>>,
) -> Result<Vec<T>, Error> {
    let these: FuturesUnordered<_> = these.into_iter().collect();
    these.try_collect().await
}
