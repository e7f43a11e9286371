use std::{future::pending, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// A clock that counts the time of a call, without the time spent waiting for the user.
#[derive(Debug)]
pub(super) struct CallClock {
    state: watch::Sender<ClockState>,
}

#[derive(Debug, Clone, Copy)]
struct ClockState {
    left: Duration,
    // `None` while it is paused.
    since: Option<Instant>,
    pauses: usize,
}

/// Pauses the clock until it is dropped.
#[derive(Debug)]
pub(super) struct PauseGuard<'a>(&'a CallClock);

impl CallClock {
    /// Creates a clock that hasn't started.
    pub(super) fn new(left: Duration) -> Self {
        Self {
            state: watch::Sender::new(ClockState {
                left,
                since: None,
                pauses: 1,
            }),
        }
    }

    pub(super) fn start(&self) {
        self.state.send_modify(ClockState::resume);
    }

    pub(super) fn pause(&self) -> PauseGuard<'_> {
        self.state.send_modify(ClockState::pause);
        PauseGuard(self)
    }

    /// Waits until the time is over.
    pub(super) async fn is_over(&self) {
        let mut state = self.state.subscribe();
        loop {
            let ClockState { left, since, .. } = *state.borrow_and_update();
            // A deadline that overflows is never reached.
            let over = async {
                match since.and_then(|since| since.checked_add(left)) {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = over => return,
                // The sender is in `self`.
                _ = state.changed() => {}
            }
        }
    }
}

impl ClockState {
    fn pause(&mut self) {
        self.pauses += 1;
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }

    fn resume(&mut self) {
        self.pauses -= 1;
        if self.pauses == 0 {
            self.since = Some(Instant::now());
        }
    }
}

impl Drop for PauseGuard<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(ClockState::resume);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_clock_stands_still_before_its_start_and_during_every_pause() {
        let clock = CallClock::new(10 * SECOND);
        assert!(timeout(100 * SECOND, clock.is_over()).await.is_err());
        clock.start();
        sleep(4 * SECOND).await;
        let (first, second) = (clock.pause(), clock.pause());
        sleep(100 * SECOND).await;
        drop(first);
        sleep(100 * SECOND).await;
        drop(second);
        assert!(timeout(5 * SECOND, clock.is_over()).await.is_err());
        let began = Instant::now();
        clock.is_over().await;
        assert_eq!(began.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_extends_a_wait_that_has_begun() {
        let clock = CallClock::new(10 * SECOND);
        clock.start();
        let began = Instant::now();
        let paused = async {
            sleep(5 * SECOND).await;
            let pause = clock.pause();
            sleep(20 * SECOND).await;
            drop(pause);
        };
        tokio::join!(clock.is_over(), paused);
        assert_eq!(began.elapsed(), 30 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_duration_never_ends() {
        let clock = CallClock::new(Duration::MAX);
        clock.start();
        assert!(timeout(100 * SECOND, clock.is_over()).await.is_err());
        drop(clock.pause());
    }
}
