use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use super::EndingHandler;
use crate::log::ServiceName;

/// The handlers of endings on this server, and the deliveries that run.
pub(in crate::session) struct OutboxDeliveries {
    handlers: Mutex<HashMap<ServiceName, Arc<dyn EndingHandler>>>,
    sealed: Notify,
    counts: watch::Sender<DeliveryCounts>,
}

/// The deliveries of this server at one moment.
#[derive(Debug, Clone, Copy, Default)]
struct DeliveryCounts {
    running: usize,
    // The number of rounds that have begun.
    rounds: u64,
    // The last round in which the store had nothing to deliver now.
    idle: u64,
    stopped: bool,
}

/// A round in which the store is asked for endings.
pub(super) struct DeliveryRound {
    number: u64,
    counted: RunningDelivery,
}

/// A delivery that runs, and is counted.
pub(super) struct RunningDelivery(watch::Sender<DeliveryCounts>);

impl OutboxDeliveries {
    pub(in crate::session) fn new() -> Self {
        Self {
            handlers: Mutex::default(),
            sealed: Notify::new(),
            counts: watch::Sender::default(),
        }
    }

    pub(in crate::session) fn register(
        &self,
        service: ServiceName,
        handler: Arc<dyn EndingHandler>,
    ) {
        let former = self.lock().insert(service, handler);
        // Outside of the lock, since its drop may run code of the application.
        drop(former);
    }

    /// Delivers soon: an ending is in the outbox.
    pub(in crate::session) fn wake(&self) {
        self.sealed.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.sealed.notified().await;
    }

    pub(super) fn handlers(&self) -> Vec<(ServiceName, Arc<dyn EndingHandler>)> {
        let handlers = self.lock();
        handlers
            .iter()
            .map(|(service, handler)| (service.clone(), handler.clone()))
            .collect()
    }

    pub(super) fn begin(&self) -> RunningDelivery {
        self.counts.send_modify(|it| it.running += 1);
        RunningDelivery(self.counts.clone())
    }

    /// Begins a round, which counts as a delivery. `None` once this server takes no more endings.
    pub(super) fn begin_round(&self) -> Option<DeliveryRound> {
        let mut number = None;
        self.counts.send_modify(|it| {
            if !it.stopped {
                it.rounds += 1;
                it.running += 1;
                number = Some(it.rounds);
            }
        });
        let counted = |number| DeliveryRound {
            number,
            counted: RunningDelivery(self.counts.clone()),
        };
        number.map(counted)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.counts.borrow().stopped
    }

    /// Delivers what this server has to, for this time at most, then stops and drops the handlers. With
    /// `drain`, which needs a running sweeper, it goes on until the store has nothing to deliver now; otherwise it takes no more, and
    /// other servers deliver it. Returns the number of deliveries that still run.
    pub(in crate::session) async fn finish(&self, drain: bool, at_most: Duration) -> usize {
        let has_handlers = !self.lock().is_empty();
        let mut counts = self.counts.subscribe();
        // A round that is under way may have asked before the last seal. The next one begins at once, and others
        // whenever a delivery is done.
        let begun = self.counts.borrow().rounds;
        let drained = |it: &DeliveryCounts| it.stopped || it.idle > begun && it.running == 0;
        self.wake();
        let finished = async {
            if drain && has_handlers {
                let _ = counts.wait_for(drained).await;
            }
            self.counts.send_modify(|it| it.stopped = true);
            let _ = counts.wait_for(|it| it.running == 0).await;
        };
        let timely = tokio::time::timeout(at_most, finished).await.is_ok();
        self.counts.send_modify(|it| it.stopped = true);
        self.wake();
        let handlers = std::mem::take(&mut *self.lock());
        drop(handlers);
        if timely {
            0
        } else {
            self.counts.borrow().running
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ServiceName, Arc<dyn EndingHandler>>> {
        self.handlers
            .lock()
            .expect("nothing panics under this lock")
    }
}

impl DeliveryRound {
    pub(super) fn end(self, had_some: bool) {
        if !had_some {
            let counts = &self.counted.0;
            counts.send_modify(|it| it.idle = self.number);
        }
    }
}

impl Drop for RunningDelivery {
    fn drop(&mut self) {
        self.0.send_modify(|it| it.running -= 1);
    }
}

impl fmt::Debug for OutboxDeliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxDeliveries")
            .field("counts", &*self.counts.borrow())
            .finish_non_exhaustive()
    }
}
