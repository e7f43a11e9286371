use std::{fmt, io, sync::Arc, time::SystemTime};

use tokio::sync::watch;

use crate::error::DiskWriteError;

/// The state of the writes of a [`Disk`](crate::Disk) store.
///
/// A server that is ready while [`can_write`](Self::can_write) is true, and exits once the state is
/// [`RestartNeeded`](Self::RestartNeeded), needs no other knowledge of the store.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DiskHealth {
    /// Writes succeed.
    Healthy,
    /// Writes fail for lack of room on the disk, in a quota, of file descriptors or of memory.
    ///
    /// The store tries again with each write, and once a second without one, and goes on by itself.
    Stalled {
        /// The time of the first write that failed, by the host's clock.
        since: SystemTime,
        /// The error of the operating system.
        error: Arc<io::Error>,
    },
    /// The store writes nothing any more. It has to be closed and opened again, which a restart of the
    /// process does.
    RestartNeeded {
        /// The error of the operating system.
        error: Arc<io::Error>,
    },
}

impl DiskHealth {
    /// Returns true if writes succeed.
    pub const fn can_write(&self) -> bool {
        matches!(self, Self::Healthy)
    }

    /// Returns true if the store has to be closed and opened again.
    pub const fn needs_restart(&self) -> bool {
        matches!(self, Self::RestartNeeded { .. })
    }
}

impl fmt::Display for DiskHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("the store writes"),
            Self::Stalled { error, .. } => DiskWriteError::Stalled(error.clone()).fmt(f),
            Self::RestartNeeded { error } => DiskWriteError::RestartNeeded(error.clone()).fmt(f),
        }
    }
}

/// The sender of the store's health. Clones share it.
///
/// Each change is traced once.
#[derive(Debug, Clone)]
pub(crate) struct HealthSender(Arc<watch::Sender<DiskHealth>>);

impl HealthSender {
    pub(crate) fn new() -> (Self, watch::Receiver<DiskHealth>) {
        let (sender, receiver) = watch::channel(DiskHealth::Healthy);
        (Self(Arc::new(sender)), receiver)
    }

    pub(crate) fn current(&self) -> DiskHealth {
        self.0.borrow().clone()
    }

    /// Records that there is room again.
    pub(crate) fn recovered(&self) {
        self.0.send_if_modified(|health| {
            let was_stalled = matches!(health, DiskHealth::Stalled { .. });
            if was_stalled {
                tracing::warn!("the store has room again and goes on");
                *health = DiskHealth::Healthy;
            }
            was_stalled
        });
    }

    /// Records a failed write.
    pub(crate) fn failed(&self, error: &DiskWriteError) {
        self.0.send_if_modified(|health| {
            let next = match (&*health, error) {
                (DiskHealth::Healthy, DiskWriteError::Stalled(source)) => {
                    tracing::error!(error = %source, "{error}");
                    DiskHealth::Stalled {
                        since: SystemTime::now(),
                        error: source.clone(),
                    }
                }
                (DiskHealth::RestartNeeded { .. }, _) | (_, DiskWriteError::Stalled(_)) => {
                    return false;
                }
                (_, DiskWriteError::RestartNeeded(source)) => {
                    tracing::error!(error = %source, "{error}");
                    DiskHealth::RestartNeeded {
                        error: source.clone(),
                    }
                }
            };
            *health = next;
            true
        });
    }
}
