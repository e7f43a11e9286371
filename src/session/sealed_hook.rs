use std::time::Duration;

use tokio::sync::watch;
use tracing::Instrument;

use crate::{BoxFuture, log::Outcome};

/// A hook that runs once the seal of a session is acknowledged to this server.
pub type SealedHook = Box<dyn FnOnce(Outcome) -> BoxFuture<'static, ()> + Send>;

/// The hooks that run on this server.
#[derive(Debug)]
pub(super) struct SealedHooks {
    running: watch::Sender<usize>,
}

/// A hook that runs, and is counted.
struct Running(watch::Sender<usize>);

impl SealedHooks {
    pub(super) fn new() -> Self {
        Self {
            running: watch::Sender::new(0),
        }
    }

    /// Runs a hook on a task of its own, so that neither its time nor a panic is that of the writer.
    pub(super) fn spawn(&self, hook: SealedHook, outcome: Outcome) {
        self.running.send_modify(|running| *running += 1);
        let running = Running(self.running.clone());
        let run = async move {
            let _running = running;
            hook(outcome).await;
        };
        tokio::spawn(run.in_current_span());
    }

    /// Waits until none runs, for this time at most. Returns the number of those that still run.
    pub(super) async fn wait(&self, at_most: Duration) -> usize {
        let mut running = self.running.subscribe();
        let none = running.wait_for(|&running| running == 0);
        match tokio::time::timeout(at_most, none).await {
            Ok(_) => 0,
            Err(_) => *self.running.borrow(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}
