use std::{
    error::Error,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::causes::{Chain, RecentCauses};
use crate::{metrics, store::StoreError};

/// The record of a store's failures: traces each cause at most once a second, and the end of an outage.
#[derive(Debug, Default)]
pub(in crate::session) struct StoreFailures {
    /// True from the first call that had no answer until the next one that has.
    failing: AtomicBool,
    outage: Mutex<Outage>,
}

#[derive(Debug, Default)]
struct Outage {
    since: Option<Instant>,
    failed: u64,
    causes: RecentCauses,
}

/// The failure of a call that wasn't answered for so long.
#[derive(Debug, thiserror::Error)]
#[error("the store has not answered for {0:?}")]
struct NoAnswer(Duration);

impl StoreFailures {
    /// Records the answer to a call.
    pub(super) fn answered(&self, call: &'static str, error: Option<&StoreError>) {
        match error {
            Some(error) if error.is_unavailable() => self.failed(call, error),
            Some(
                error @ (StoreError::Corrupt { .. }
                | StoreError::Unsupported { .. }
                | StoreError::TooLarge { .. }),
            ) => {
                self.recovered();
                if let Some(left_out) = self.lock().causes.count(call, error) {
                    let cause = Chain(error);
                    tracing::error!(call, %cause, left_out, "the store refused a call");
                }
            }
            _ => self.recovered(),
        }
    }

    /// Records a call that was given up after this time without an answer.
    pub(super) fn unanswered(&self, call: &'static str, after: Duration) {
        // In seconds: equal causes have equal texts.
        let waited = Duration::from_secs(after.as_secs());
        self.failed(call, &NoAnswer(waited));
    }

    /// Returns the time since the first call of those that had no answer.
    pub(in crate::session) fn failing_for(&self) -> Option<Duration> {
        if !self.failing.load(Relaxed) {
            return None;
        }
        self.lock().since.map(|since| since.elapsed())
    }

    fn failed(&self, call: &'static str, error: &dyn Error) {
        metrics::STORE_CALL_FAILURES.count(1, &[("call", call)]);
        let mut outage = self.lock();
        outage.since.get_or_insert_with(Instant::now);
        outage.failed += 1;
        self.failing.store(true, Relaxed);
        if let Some(left_out) = outage.causes.count(call, error) {
            drop(outage);
            let cause = Chain(error);
            tracing::warn!(call, %cause, left_out, "the store failed");
        }
    }

    fn recovered(&self) {
        if !self.failing.load(Relaxed) {
            return;
        }
        let mut outage = self.lock();
        self.failing.store(false, Relaxed);
        let failed = std::mem::take(&mut outage.failed);
        if let Some(since) = outage.since.take() {
            drop(outage);
            let after = since.elapsed();
            tracing::info!(?after, failed, "the store answers again");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Outage> {
        self.outage.lock().expect("nothing panics under this lock")
    }
}
