use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::Instrument;

use super::{EndingHandler, StoredEnding, deliveries::OutboxDeliveries};
use crate::{
    BoxError,
    log::{Epoch, ServiceName, SessionId},
    session::{
        registry::Registry,
        writer::{Retry, within},
    },
    store::{PendingEnding, Store, StoreError},
};

/// The longest pause between two looks into the outbox.
const TICK: Duration = Duration::from_secs(1);
/// The most deliveries of one service that run at once on this server.
const CONCURRENT: usize = 16;
/// The lease of an ending that is delivered. It is renewed while the handler runs.
const LEASE: Duration = Duration::from_secs(30);
/// The pause after the first delivery that has failed. It doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);
/// The longest time for which the store is told that an ending was delivered.
const CONFIRM: Duration = Duration::from_secs(20);

/// Delivers endings until the registry is dropped or has shut down.
pub(in crate::session) async fn deliver_endings(registry: &Weak<Registry>) {
    let mut running = RunningDeliveries::default();
    while let Some(shared) = registry.upgrade() {
        let outbox = shared.outbox.clone();
        let Some(round) = outbox.begin_round() else {
            break;
        };
        let store = shared.store.clone();
        // A delivery doesn't keep the registry alive.
        drop(shared);
        let mut had_some = false;
        for (service, handler) in outbox.handlers() {
            had_some |= running.take(&outbox, &store, &service, &handler).await;
        }
        round.end(had_some);
        let woken = async {
            tokio::select! {
                () = outbox.woken() => {}
                Some(_) = running.tasks.join_next() => {}
            }
        };
        let _ = timeout(TICK, woken).await;
    }
    // Those that run are taken to their end.
    running.tasks.detach_all();
}

/// The deliveries that run on this server.
#[derive(Default)]
struct RunningDeliveries {
    tasks: JoinSet<()>,
    places: HashMap<ServiceName, Arc<Semaphore>>,
}

impl RunningDeliveries {
    /// Takes endings of a service, as many as may be delivered, and begins to deliver them. Returns true if there
    /// were some, or if the store could not tell.
    async fn take(
        &mut self,
        outbox: &Arc<OutboxDeliveries>,
        store: &Arc<dyn Store>,
        service: &ServiceName,
        handler: &Arc<dyn EndingHandler>,
    ) -> bool {
        while self.tasks.try_join_next().is_some() {}
        let places = self.places.entry(service.clone());
        let places = places.or_insert_with(|| Arc::new(Semaphore::new(CONCURRENT)));
        let free = places.available_permits();
        if free == 0 {
            return true;
        }
        let taken_at = Instant::now();
        let taken = store.endings(service, free, LEASE);
        let taken = match within(LEASE / 3, taken).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::debug!(%error, "the store doesn't tell which endings are to be delivered");
                return true;
            }
        };
        let had_some = !taken.is_empty();
        for ending in taken {
            let delivery = Delivery {
                store: store.clone(),
                handler: handler.clone(),
                id: ending.id.clone(),
                sealed_by: ending.state.epoch,
                number: ending.delivery,
                expires: taken_at.checked_add(ending.expires_in),
            };
            let place = places.clone().try_acquire_owned();
            let (Ok(place), false) = (place, outbox.is_stopped()) else {
                delivery.postpone(Duration::ZERO).await;
                continue;
            };
            let counted = outbox.begin();
            let span = tracing::info_span!("unbroken.delivery", delivery = ending.delivery);
            let run = async move {
                let _counted = (place, counted);
                delivery.run(ending).await;
            };
            self.tasks.spawn(run.instrument(span));
        }
        had_some
    }
}

/// The delivery of one ending.
struct Delivery {
    store: Arc<dyn Store>,
    handler: Arc<dyn EndingHandler>,
    id: SessionId,
    sealed_by: Epoch,
    number: u32,
    expires: Option<Instant>,
}

impl Delivery {
    async fn run(self, ending: PendingEnding) {
        let Some(ending) = StoredEnding::new(self.store.clone(), ending) else {
            tracing::error!("the store gave an ending of a session that isn't sealed");
            return;
        };
        tokio::select! {
            () = self.deliver(ending) => {}
            () = self.keep_lease() => {}
        }
    }

    async fn deliver(&self, ending: StoredEnding) {
        let (handler, taken) = (self.handler.clone(), ending.clone());
        let Err(error) = self.call(async move { handler.deliver(taken).await }).await else {
            return self.confirm().await;
        };
        let pause = pause_after(self.number);
        let pause = pause + jitter(pause / 8);
        let is_last = (self.expires).is_some_and(|expires| Instant::now() + pause >= expires);
        if !is_last {
            tracing::warn!(
                error = &*error as &dyn Error,
                ?pause,
                "an ending was not delivered; it is tried again"
            );
            // Not waited for here: others are delivered meanwhile.
            return self.postpone(pause).await;
        }
        tracing::error!(
            error = &*error as &dyn Error,
            "an ending could not be delivered in time, and is given up"
        );
        let handler = self.handler.clone();
        let give_up = async move {
            handler.give_up(ending).await;
            Ok(())
        };
        if let Err(error) = self.call(give_up).await {
            tracing::error!(
                error = &*error as &dyn Error,
                "the hook for an ending that is given up has failed"
            );
        }
        self.confirm().await;
    }

    /// Runs a call of the handler on a task of its own, which contains a panic.
    async fn call(
        &self,
        call: impl Future<Output = Result<(), BoxError>> + Send + 'static,
    ) -> Result<(), BoxError> {
        let mut running = JoinSet::new();
        running.spawn(call.in_current_span());
        match timeout(self.handler.timeout(), running.join_next()).await {
            Ok(Some(Ok(done))) => done,
            Ok(Some(Err(error))) => Err(error.into()),
            Ok(None) => Err("the runtime ends".into()),
            Err(_) => Err("the handler did not take the ending in time".into()),
        }
    }

    /// Renews the lease. Returns once another server has the ending.
    async fn keep_lease(&self) {
        loop {
            sleep(LEASE / 3).await;
            let renewed = self.store.postpone_ending(&self.id, self.number, LEASE);
            if let Err(StoreError::Fenced) = within(LEASE / 3, renewed).await {
                tracing::debug!("another server delivers an ending too");
                return;
            }
        }
    }

    async fn postpone(&self, by: Duration) {
        let postponed = self.store.postpone_ending(&self.id, self.number, by);
        if let Err(error) = within(LEASE / 3, postponed).await {
            // Its lease runs out.
            tracing::debug!(%error, "the store doesn't postpone an ending");
        }
    }

    async fn confirm(&self) {
        let (mut retry, began) = (Retry::default(), Instant::now());
        while began.elapsed() < CONFIRM {
            let delivered = self.store.delivered(&self.id, self.sealed_by);
            match within(CONFIRM / 4, delivered).await {
                Ok(()) => return,
                Err(error) if error.is_unavailable() => {
                    retry.failed();
                    retry.ready().await;
                }
                Err(error) => {
                    tracing::debug!(%error, "the store doesn't know an ending any more");
                    return;
                }
            }
        }
        tracing::warn!(
            "the store doesn't take that an ending was delivered; it is delivered again"
        );
    }
}

/// Returns the pause after the delivery with this number, which has failed.
fn pause_after(delivery: u32) -> Duration {
    let doubled = 1_u32.checked_shl(delivery.saturating_sub(1));
    let pause = doubled.and_then(|times| FIRST_PAUSE.checked_mul(times));
    pause.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}

/// Returns a random part of this time, so that endings that fail together don't come again together.
fn jitter(most: Duration) -> Duration {
    let part = getrandom::u32().unwrap_or_default();
    most.mul_f64(f64::from(part) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_ten_minutes() {
        let pauses = [1, 2, 3, 10, 11, 33, u32::MAX].map(|number| pause_after(number).as_secs());
        assert_eq!(pauses, [1, 2, 4, 512, 600, 600, 600]);
        assert_eq!(pause_after(0).as_secs(), 1);
    }
}
