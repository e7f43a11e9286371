use std::time::Duration;

use tokio::time::Instant;

use super::StoreFailures;
use crate::{metrics, store::StoreError};

/// The time without an answer after which a call that is given up counts as failed. Sooner, its caller had another
/// reason, such as a client that went away.
const SILENCE: Duration = Duration::from_secs(1);

/// A call that the store hasn't answered yet. Dropping it gives the call up.
#[must_use]
pub(super) struct WatchedCall<'a> {
    watch: &'a StoreFailures,
    call: &'static str,
    began: Instant,
    is_answered: bool,
}

impl<'a> WatchedCall<'a> {
    pub(super) fn new(watch: &'a StoreFailures, call: &'static str) -> Self {
        Self {
            watch,
            call,
            began: Instant::now(),
            is_answered: false,
        }
    }

    pub(super) fn answered<T>(mut self, answer: &Result<T, StoreError>) {
        self.is_answered = true;
        let stopwatch = metrics::Stopwatch::since(self.began);
        metrics::STORE_CALL_DURATION.time(stopwatch, &[("call", self.call)]);
        self.watch.answered(self.call, answer.as_ref().err());
    }
}

impl Drop for WatchedCall<'_> {
    fn drop(&mut self) {
        let silent = self.began.elapsed();
        if !self.is_answered && silent >= SILENCE {
            self.watch.unanswered(self.call, silent);
        }
    }
}
