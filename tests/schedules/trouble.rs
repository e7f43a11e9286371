//! The faults of a store in a schedule.

use tokio::time::sleep;
use unbroken::store::Memory;
use unbroken_conformance::{BrokenStore, ClockJump, Fault, FaultStore, Op, Rates, Rewind};

use crate::{
    audit::Audit,
    plan::{Dice, Kind},
    world::LEASE,
};

/// The faults of a schedule.
pub(crate) struct Trouble {
    kind: Kind,
    store: FaultStore<Audit>,
    snapshot: Option<<BrokenStore<Memory> as Rewind>::Snapshot>,
}

impl Trouble {
    pub(crate) fn new(kind: Kind, dice: &mut Dice, store: FaultStore<Audit>) -> Self {
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
        store.faults().random(dice.roll(), rates);
        Self {
            kind,
            store,
            snapshot: None,
        }
    }

    pub(crate) fn strike(&mut self, dice: &mut Dice) {
        match self.kind {
            // An owner hangs in an append while another takes over, and hangs in turn.
            Kind::Takeovers if dice.one_in(4) => {
                let faults = self.store.faults();
                faults.next(Op::Append, Fault::PauseBefore(LEASE * 2));
                faults.next(Op::Claim, Fault::PauseAfter(LEASE * 2));
            }
            Kind::Takeovers if dice.one_in(4) => self.store.inner().memory.jump(LEASE * 2),
            Kind::Storm if dice.one_in(6) => self.store.inner().memory.jump(LEASE * 2),
            Kind::LostReplies | Kind::Storm if dice.one_in(4) => {
                let faults = self.store.faults().clone();
                // Short enough that a start which was applied unheard is repeated in time: past
                // that, somebody else may find an orphan.
                let span = if self.kind == Kind::Storm { 6000 } else { 1500 };
                let span = dice.millis(span);
                tokio::spawn(async move {
                    faults.outage(true);
                    sleep(span).await;
                    faults.outage(false);
                });
            }
            Kind::Rewinds if dice.one_in(3) => {
                self.snapshot = Some(self.store.inner().memory.snapshot());
            }
            Kind::Rewinds if dice.one_in(4) => {
                if let Some(snapshot) = &self.snapshot {
                    self.store.inner().memory.restore(snapshot);
                    self.store.inner().forget();
                }
            }
            _ => {}
        }
    }

    pub(crate) fn end(&self) {
        self.store.faults().heal();
    }
}
