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
    progress: watch::Sender<DeliveryCounts>,
}

/// The deliveries of this server at one moment.
#[derive(Debug, Clone, Copy, Default)]
struct DeliveryCounts {
    running: usize,
    // True while endings are taken, at intervals.
    looks: bool,
    // The number of times that the store was asked and had nothing to deliver now.
    idle_rounds: u64,
    stopped: bool,
}

/// A round in which the store is asked for endings.
pub(super) struct DeliveryRound(RunningDelivery);

/// A delivery that runs, and is counted.
pub(super) struct RunningDelivery(watch::Sender<DeliveryCounts>);

impl OutboxDeliveries {
    pub(in crate::session) fn new() -> Self {
        Self {
            handlers: Mutex::default(),
            sealed: Notify::new(),
            progress: watch::Sender::default(),
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
        self.progress.send_modify(|it| it.running += 1);
        RunningDelivery(self.progress.clone())
    }

    /// Begins a round, which counts as a delivery. `None` once this server takes no more endings.
    pub(super) fn begin_round(&self) -> Option<DeliveryRound> {
        let mut begun = false;
        self.progress.send_modify(|it| {
            begun = !it.stopped;
            it.looks = begun;
            it.running += usize::from(begun);
        });
        begun.then(|| DeliveryRound(RunningDelivery(self.progress.clone())))
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.progress.borrow().stopped
    }

    /// Delivers what this server has to, for this time at most, then stops and drops the handlers. With
    /// `drain` it goes on until the store has nothing to deliver now; otherwise it takes no more, and
    /// other servers deliver it. Returns the number of deliveries that still run.
    pub(in crate::session) async fn finish(&self, drain: bool, at_most: Duration) -> usize {
        let has_handlers = !self.lock().is_empty();
        let mut progress = self.progress.subscribe();
        // A round that is under way may have asked before the last seal.
        let rounds = self.progress.borrow().idle_rounds + 2;
        let drained = |it: &DeliveryCounts| {
            let over = it.stopped || !it.looks || it.idle_rounds >= rounds && it.running == 0;
            if !over {
                self.wake();
            }
            over
        };
        let finished = async {
            if drain && has_handlers {
                let _ = progress.wait_for(drained).await;
            }
            self.progress.send_modify(|it| it.stopped = true);
            let _ = progress.wait_for(|it| it.running == 0).await;
        };
        let timely = tokio::time::timeout(at_most, finished).await.is_ok();
        self.progress.send_modify(|it| it.stopped = true);
        self.wake();
        let handlers = std::mem::take(&mut *self.lock());
        drop(handlers);
        if timely {
            0
        } else {
            self.progress.borrow().running
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
        let progress = &self.0.0;
        progress.send_modify(|it| it.idle_rounds += u64::from(!had_some));
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
            .field("progress", &*self.progress.borrow())
            .finish_non_exhaustive()
    }
}
