use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};

/// How late this machine is by itself: a task that sleeps for a moment, again and again.
#[derive(Debug)]
pub(super) struct SchedulerDelay {
    latest: Arc<AtomicU64>,
    task: AbortHandle,
}

impl SchedulerDelay {
    pub(super) fn watch() -> Self {
        const MOMENT: Duration = Duration::from_millis(2);
        let latest = Arc::<AtomicU64>::default();
        let seen = latest.clone();
        let watching = async move {
            loop {
                let due = Instant::now() + MOMENT;
                tokio::time::sleep_until(due).await;
                let late = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                seen.fetch_max(late, Relaxed);
            }
        };
        let task = tokio::spawn(watching).abort_handle();
        Self { latest, task }
    }

    /// By how much at the most, since it is watched.
    pub(super) fn late(&self) -> Duration {
        Duration::from_micros(self.latest.load(Relaxed))
    }
}

impl Drop for SchedulerDelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
