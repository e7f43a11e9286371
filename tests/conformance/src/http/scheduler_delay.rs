use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};

/// Measures how late the scheduler of this machine runs a task whose timer is due.
#[derive(Debug)]
pub(super) struct SchedulerDelay {
    max: Arc<AtomicU64>,
    task: AbortHandle,
}

impl SchedulerDelay {
    pub(super) fn watch() -> Self {
        const MOMENT: Duration = Duration::from_millis(2);
        let max = Arc::<AtomicU64>::default();
        let seen = max.clone();
        let watching = async move {
            loop {
                let due = Instant::now() + MOMENT;
                tokio::time::sleep_until(due).await;
                let late = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                seen.fetch_max(late, Relaxed);
            }
        };
        let task = tokio::spawn(watching).abort_handle();
        Self { max, task }
    }

    /// Returns the longest delay so far.
    pub(super) fn max(&self) -> Duration {
        Duration::from_micros(self.max.load(Relaxed))
    }
}

impl Drop for SchedulerDelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}
