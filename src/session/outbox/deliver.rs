use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tracing::Instrument;

use super::{EndingHandler, StoredEnding};
use crate::{
    BoxError,
    log::{ServiceName, SessionId},
    session::{
        registry::Registry,
        writer::{Retry, within},
    },
    store::PendingEnding,
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
        if outbox.is_stopped() {
            break;
        }
        let mut had_nothing = true;
        for (service, handler) in outbox.handlers() {
            had_nothing &= !running.take(&shared, &service, &handler).await;
        }
        drop(shared);
        if had_nothing {
            outbox.had_nothing();
        }
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
        shared: &Arc<Registry>,
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
        let taken = shared.store.endings(service, free, LEASE);
        let taken = match within(LEASE / 3, taken).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::debug!(%error, "the store doesn't tell which endings are to be delivered");
                return true;
            }
        };
        let had_some = !taken.is_empty();
        for ending in taken {
            // A store that gives more than it was asked for: their leases run out.
            let Ok(place) = places.clone().try_acquire_owned() else {
                break;
            };
            let delivery = Delivery {
                shared: shared.clone(),
                handler: handler.clone(),
                id: ending.id.clone(),
                number: ending.delivery,
                expires: taken_at.checked_add(ending.expires_in),
            };
            let counted = shared.outbox.begin();
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
    shared: Arc<Registry>,
    handler: Arc<dyn EndingHandler>,
    id: SessionId,
    number: u32,
    expires: Option<Instant>,
}

impl Delivery {
    async fn run(self, ending: PendingEnding) {
        let Some(ending) = StoredEnding::new(self.shared.store.clone(), ending) else {
            tracing::error!("the store gave an ending of a session that isn't sealed");
            return;
        };
        let delivered = tokio::select! {
            delivered = self.deliver(ending.clone()) => delivered,
            () = self.keep_lease() => return,
        };
        let Err(error) = delivered else {
            return self.confirm().await;
        };
        let pause = pause_after(self.number);
        let is_last = (self.expires).is_some_and(|expires| Instant::now() + pause >= expires);
        if is_last {
            tracing::error!(
                error = &*error as &dyn std::error::Error,
                "an ending could not be delivered in time, and is given up"
            );
            let give_up = self.handler.give_up(ending);
            let _ = timeout(self.handler.timeout(), give_up).await;
            return self.confirm().await;
        }
        tracing::warn!(
            error = &*error as &dyn std::error::Error,
            ?pause,
            "an ending was not delivered; it is tried again"
        );
        // Not waited for here: others are delivered meanwhile.
        self.postpone(pause).await;
    }

    /// Runs the handler on a task of its own, which contains a panic.
    async fn deliver(&self, ending: StoredEnding) -> Result<(), BoxError> {
        let handler = self.handler.clone();
        let longest = handler.timeout();
        let mut call = JoinSet::new();
        call.spawn(async move { handler.deliver(ending).await }.in_current_span());
        match timeout(longest, call.join_next()).await {
            Ok(Some(Ok(delivered))) => delivered,
            Ok(Some(Err(error))) => Err(error.into()),
            Ok(None) => Err("the runtime ends".into()),
            Err(_) => Err("the handler did not take the ending in time".into()),
        }
    }

    /// Renews the lease. Returns once another server has the ending.
    async fn keep_lease(&self) {
        loop {
            sleep(LEASE / 3).await;
            let renewed = self
                .shared
                .store
                .postpone_ending(&self.id, self.number, LEASE);
            match within(LEASE / 3, renewed).await {
                Err(error) if !error.is_unavailable() => {
                    tracing::debug!(%error, "another server delivers an ending too");
                    return;
                }
                _ => {}
            }
        }
    }

    async fn postpone(&self, by: Duration) {
        let postponed = self.shared.store.postpone_ending(&self.id, self.number, by);
        if let Err(error) = within(LEASE / 3, postponed).await {
            // Its lease runs out.
            tracing::debug!(%error, "the store doesn't postpone an ending");
        }
    }

    async fn confirm(&self) {
        let (mut retry, began) = (Retry::default(), Instant::now());
        while began.elapsed() < CONFIRM {
            match within(CONFIRM / 4, self.shared.store.delivered(&self.id)).await {
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
