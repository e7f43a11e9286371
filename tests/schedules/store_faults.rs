//! The faults of the store in a schedule.

use std::time::Duration;

use tokio::time::sleep;
use unbroken::store::Memory;
use unbroken_conformance::{BrokenStore, ClockJump, Fault, FaultStore, Op, Rates, Rewind};

use crate::{
    audit::Audit,
    script::{Kind, Rng},
    simulation::LEASE,
};

/// Injects the faults of a schedule into its store.
pub(crate) struct StoreFaults {
    kind: Kind,
    store: FaultStore<Audit>,
    snapshot: Option<<BrokenStore<Memory> as Rewind>::Snapshot>,
}

impl StoreFaults {
    pub(crate) fn new(kind: Kind, rng: &mut Rng, store: FaultStore<Audit>) -> Self {
        let mut rates = Rates::default();
        rates.repeat_within = 20;
        rates.pause_within = LEASE * 3;
        match kind {
            Kind::Calm | Kind::Rewinds => {}
            Kind::LostReplies => (rates.lose_before, rates.lose_after) = (100, 100),
            Kind::Repeats => rates.repeat = 300,
            Kind::DroppedWakeups => rates.miss_wake = 500,
            Kind::Takeovers => (rates.pause_before, rates.pause_after) = (10, 10),
            Kind::Storm => {
                (rates.lose_before, rates.lose_after) = (80, 80);
                (rates.pause_before, rates.pause_after) = (5, 5);
                (rates.repeat, rates.miss_wake) = (100, 200);
            }
        }
        store.faults().random(rng.next_u64(), rates);
        if matches!(kind, Kind::LostReplies | Kind::Storm) && rng.one_in(3) {
            // Both attempts of a start, on each server: it is refused, and its session is in the store.
            for _ in 0..4 {
                let late = Fault::PauseAfter(Duration::from_secs(3));
                store.faults().next(Op::Create, late);
            }
        }
        Self {
            kind,
            store,
            snapshot: None,
        }
    }

    /// Injects a random fault of the schedule's kind, or none.
    pub(crate) fn inject(&mut self, rng: &mut Rng) {
        match self.kind {
            // An owner hangs in an append while another server takes over, and hangs in turn.
            Kind::Takeovers if rng.one_in(4) => {
                let faults = self.store.faults();
                faults.next(Op::Append, Fault::PauseBefore(LEASE * 2));
                faults.next(Op::Claim, Fault::PauseAfter(LEASE * 2));
            }
            Kind::Takeovers if rng.one_in(4) => self.store.inner().memory.jump(LEASE * 2),
            Kind::Storm if rng.one_in(6) => self.store.inner().memory.jump(LEASE * 2),
            Kind::LostReplies | Kind::Storm if rng.one_in(4) => {
                let faults = self.store.faults().clone();
                // A start that is stored without a response must be repeated within this time: later,
                // another server may take the session for an orphan.
                let span = if self.kind == Kind::Storm { 6000 } else { 1500 };
                let span = rng.millis(span);
                tokio::spawn(async move {
                    faults.outage(true);
                    sleep(span).await;
                    faults.outage(false);
                });
            }
            Kind::Rewinds if rng.one_in(3) => {
                self.snapshot = Some(self.store.inner().memory.snapshot());
            }
            Kind::Rewinds if rng.one_in(4) => {
                if let Some(snapshot) = &self.snapshot {
                    self.store.inner().memory.restore(snapshot);
                    self.store.inner().reset();
                }
            }
            _ => {}
        }
    }

    /// Ends all faults.
    pub(crate) fn end(&self) {
        self.store.faults().heal();
    }
}
