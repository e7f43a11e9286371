use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;

/// The number of requests that a connection is answering, and since when there is none. Clones share
/// it.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<ActivityState>>);

/// The state of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ActivityState {
    /// No request has come yet.
    Fresh,
    /// This many requests are being answered.
    Busy(usize),
    /// All requests have been answered, since this time.
    Idle(Instant),
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(ActivityState::Fresh)))
    }

    pub(crate) fn state(&self) -> ActivityState {
        *self.lock()
    }

    pub(crate) fn begin(&self) -> ActiveRequest {
        let mut state = self.lock();
        *state = ActivityState::Busy(match *state {
            ActivityState::Busy(others) => others + 1,
            ActivityState::Fresh | ActivityState::Idle(_) => 1,
        });
        ActiveRequest(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, ActivityState> {
        self.0.lock().expect("nothing panics under this lock")
    }
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(crate) struct ActiveRequest(Activity);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        *state = match *state {
            ActivityState::Busy(all) if all > 1 => ActivityState::Busy(all - 1),
            _ => ActivityState::Idle(Instant::now()),
        };
    }
}
