use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

/// For how long the store has been reachable without a break, by our own clock.
#[derive(Debug, Default)]
pub(super) struct Reach {
    since: Mutex<Option<Instant>>,
}

impl Reach {
    pub(super) fn reached(&self) {
        self.since
            .lock()
            .expect("nothing panics under this lock")
            .get_or_insert_with(Instant::now);
    }

    pub(super) fn lost(&self) {
        *self.since.lock().expect("nothing panics under this lock") = None;
    }

    pub(super) fn lasts(&self) -> Option<Duration> {
        let since = *self.since.lock().expect("nothing panics under this lock");
        since.map(|since| since.elapsed())
    }
}
