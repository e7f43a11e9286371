//! Helpers of the tests and the figures: engines, server processes, clients, and checks of what clients
//! receive.
#![allow(dead_code, reason = "each of them uses a part of it")]

pub(crate) mod call_log;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod engine;
pub(crate) mod received;
pub(crate) mod rng;
pub(crate) mod server;
pub(crate) mod upstream;

use std::time::Duration;

use futures_util::{TryStreamExt, stream::FuturesUnordered};

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Checked = Result<(), Error>;

/// The time after which a wait has failed: longer than anything here takes.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

/// Waits for a future, and returns an error that names it after [`TIMEOUT`].
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> Result<T, Error> {
    let output = tokio::time::timeout(TIMEOUT, future).await;
    output.map_err(|_| format!("timed out: {what}").into())
}

/// Returns the percentile of times that are sorted.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last * percent).div_ceil(100))
        .copied()
        .unwrap_or_default()
}

/// Returns the outputs of all futures in the order of completion, or the first error. A wake-up polls
/// only its own future.
pub(crate) async fn all<T>(
    futures: impl IntoIterator<Item = impl Future<Output = Result<T, Error>>>,
) -> Result<Vec<T>, Error> {
    let futures: FuturesUnordered<_> = futures.into_iter().collect();
    futures.try_collect().await
}
