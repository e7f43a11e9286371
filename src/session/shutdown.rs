use std::time::Duration;

use super::{ReadError, Sessions, writer::WriterCommand};

/// The time that a shutdown waits after its deadline until the writers have given back their leases.
const HAND_OVER: Duration = Duration::from_secs(2);
/// The time that a shutdown waits at last for the hooks of sessions that have ended.
const HOOKS: Duration = Duration::from_secs(10);

impl Sessions {
    /// Shuts down: starts no more sessions, and gives running ones until `deadline` to finish.
    ///
    /// Once none runs, or after the deadline, it drops the sources that are left, gives their leases
    /// back, and fails their readers with [`ReadError::ShutDown`], so that clients resume on another
    /// server. One that follows a session, or gets a reader of it, claims it at once. Where the store
    /// [ends with this handle](crate::store::Store::outlives_handle), as a [`Memory`](crate::store::Memory) without
    /// another clone does, nobody could go on with them: it seals them as interrupted instead, and their readers get
    /// that end. The shutdown doesn't wait for sessions that
    /// [wait](Self::waiting) for a person or a client tool. Finished sessions can still be read.
    ///
    /// At last it waits up to 10 s for hooks of sessions that ended here, such as
    /// [`on_end`](crate::durable::DurableLayer::on_end), and for deliveries of [endings](Self::on_ending) that
    /// run, so that the process doesn't end before them. Other endings are left to other servers; where the store
    /// ends with this handle, they are delivered now.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped early, no more sessions start, and running ones go on.
    pub async fn shutdown(&self, deadline: Duration) {
        self.shared.close();
        let places = &self.shared.places;
        let _ = tokio::time::timeout(deadline, places.until(|count| count.busy() == 0)).await;
        self.shared.release();
        let hands_over = matches!(self.shared.parting(), WriterCommand::Release);
        for entry in self.shared.entries() {
            if entry.owned().is_some() {
                entry.command(self.shared.parting());
            } else if entry.log.outcome().is_none() && hands_over {
                entry.log.fail(ReadError::ShutDown);
            }
        }
        let _ = tokio::time::timeout(HAND_OVER, places.until(|count| count.all() == 0)).await;
        // A writer whose call of the store hangs must not keep its readers, and the server, waiting.
        for entry in self.shared.entries() {
            if entry.log.outcome().is_none() {
                entry.log.fail(ReadError::ShutDown);
            }
        }
        let (hooks, deliveries) = tokio::join!(
            self.shared.sealed_hooks.wait(HOOKS),
            self.shared
                .outbox
                .finish(!hands_over && self.shared.is_sweeping(), HOOKS),
        );
        if hooks + deliveries > 0 {
            tracing::warn!(
                hooks,
                deliveries,
                "the shutdown doesn't wait longer for hooks and handlers of endings"
            );
        }
    }
}
