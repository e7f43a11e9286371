use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use crate::store::StoreError;

const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// The pauses between the attempts of a call that the store doesn't answer, and the length of the
/// outage.
#[derive(Debug, Default)]
pub(in crate::session) struct Retry {
    since: Option<Instant>,
    pause: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Retry {
    /// Ends the outage: the store has answered.
    pub(in crate::session) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Records a call that the store did not answer. The pause before the next attempt doubles each
    /// time.
    pub(in crate::session) fn failed(&mut self) {
        self.failed_since(Instant::now());
    }

    /// Records a call that was made at `asked` and that the store did not answer.
    pub(in crate::session) fn failed_since(&mut self, asked: Instant) {
        self.since.get_or_insert(asked);
        self.pause = (self.pause * 2).clamp(FIRST, LONGEST);
        // Jitter: writers that lost the store together must not retry together.
        let jitter = getrandom::u32().map_or(1.0, |bits| {
            0.5 + f64::from(bits) / f64::from(u32::MAX) / 2.0
        });
        self.sleep = Some(Box::pin(tokio::time::sleep(self.pause.mul_f64(jitter))));
    }

    /// Ready when the next attempt may be made: at once if the last one was answered.
    pub(in crate::session) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            None => Poll::Ready(()),
            Some(sleep) => {
                std::task::ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
                Poll::Ready(())
            }
        }
    }

    /// Waits until the next attempt may be made. Cancel safe.
    pub(in crate::session) async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.poll_ready(cx)).await;
    }

    /// Returns for how long the store hasn't answered; `None` if it has.
    pub(in crate::session) fn outage(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed())
    }
}

/// Awaits the store's answer for at most `limit`.
///
/// # Errors
///
/// The store's error, or [`StoreError::Unavailable`] if the answer doesn't come in time.
pub(in crate::session) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(StoreError::unavailable(true, elapsed)),
    }
}
