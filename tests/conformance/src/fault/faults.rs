use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A method of [`Store`](unbroken::store::Store).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Op {
    Create,
    Claim,
    Renew,
    Append,
    Read,
    Changed,
    Abort,
    Answer,
    Answers,
    Hold,
    Delete,
    OfChat,
    List,
    Orphans,
    Endings,
    PostponeEnding,
    Delivered,
    Sweep,
}

/// A fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Loses the request. The call is not applied, and fails as maybe applied.
    LoseBefore,
    /// Loses the reply. The call is applied, and fails as maybe applied.
    LoseAfter,
    /// Applies a copy of the request once more, right before the given number of calls later (at least
    /// one), and drops its reply.
    ///
    /// Has an effect on `create`, `claim`, `renew`, `append`, `abort`, `answer`, `hold` and `delete`
    /// only.
    Repeat(usize),
    /// Makes the call after a pause.
    PauseBefore(Duration),
    /// Returns the reply after a pause.
    PauseAfter(Duration),
    /// Loses the wake-up: a `changed` that has to wait does so for its full time. Has an effect on
    /// `changed` only.
    MissWake,
}

/// The rates of random faults, in calls per thousand. All are 0 by default.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Rates {
    /// The rate of [`Fault::LoseBefore`].
    pub lose_before: u16,
    /// The rate of [`Fault::LoseAfter`].
    pub lose_after: u16,
    /// The rate of [`Fault::Repeat`].
    pub repeat: u16,
    /// The most calls after which a request is repeated.
    pub repeat_within: usize,
    /// The rate of [`Fault::PauseBefore`].
    pub pause_before: u16,
    /// The rate of [`Fault::PauseAfter`].
    pub pause_after: u16,
    /// The longest pause.
    pub pause_within: Duration,
    /// The rate of [`Fault::MissWake`].
    pub miss_wake: u16,
}

/// A handle that controls the faults of a [`FaultStore`](crate::fault::FaultStore). Clones share
/// their state.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    plan: Arc<Mutex<FaultPlan>>,
}

#[derive(Debug, Default)]
struct FaultPlan {
    next: VecDeque<(Op, Fault)>,
    random: Option<(u64, Rates)>,
    outage: bool,
    happened: usize,
}

impl Faults {
    /// Creates a handle without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fault for the next call of a method. Several for one method meet its calls in order, one
    /// fault a call.
    pub fn next(&self, op: Op, fault: Fault) {
        self.plan().next.push_back((op, fault));
    }

    /// Begins or ends an outage, during which every call fails and none is applied.
    pub fn outage(&self, outage: bool) {
        self.plan().outage = outage;
    }

    /// Begins random faults. A seed gives the same faults to the same sequence of calls.
    pub fn random(&self, seed: u64, rates: Rates) {
        self.plan().random = Some((seed, rates));
    }

    /// Ends all faults, the outage included. Copies of requests that wait already are still applied.
    pub fn heal(&self) {
        let mut plan = self.plan();
        *plan = FaultPlan {
            happened: plan.happened,
            ..FaultPlan::default()
        };
    }

    /// Returns the number of calls that met a fault so far, outages included.
    pub fn happened(&self) -> usize {
        self.plan().happened
    }

    /// Returns true during an outage, and counts the call then.
    pub(super) fn is_out(&self) -> bool {
        let mut plan = self.plan();
        plan.happened += usize::from(plan.outage);
        plan.outage
    }

    /// Takes the fault of this call.
    pub(super) fn draw(&self, op: Op) -> Option<Fault> {
        let mut plan = self.plan();
        let scripted = plan.next.iter().position(|(of, _)| *of == op);
        let fault = match scripted.and_then(|at| plan.next.remove(at)) {
            Some((_, fault)) => Some(fault),
            None => plan
                .random
                .as_mut()
                .and_then(|(seed, rates)| rates.draw(seed)),
        };
        plan.happened += usize::from(fault.is_some());
        fault
    }

    fn plan(&self) -> MutexGuard<'_, FaultPlan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rates {
    fn draw(&self, seed: &mut u64) -> Option<Fault> {
        // Two numbers for every call, so that a change of one rate leaves the faults of other calls alone.
        let (kind, size) = (random(seed) % 1000, random(seed));
        let pause = || {
            let nanos = u64::try_from(self.pause_within.as_nanos()).unwrap_or(u64::MAX);
            Duration::from_nanos(size % nanos.saturating_add(1).max(1))
        };
        let calls = 1 + usize::try_from(size).unwrap_or(usize::MAX) % self.repeat_within.max(1);
        let mut below = 0;
        let mut is = |rate: u16| {
            below += u64::from(rate);
            kind < below
        };
        if is(self.lose_before) {
            Some(Fault::LoseBefore)
        } else if is(self.lose_after) {
            Some(Fault::LoseAfter)
        } else if is(self.repeat) {
            Some(Fault::Repeat(calls))
        } else if is(self.pause_before) {
            Some(Fault::PauseBefore(pause()))
        } else if is(self.pause_after) {
            Some(Fault::PauseAfter(pause()))
        } else if is(self.miss_wake) {
            Some(Fault::MissWake)
        } else {
            None
        }
    }
}

/// `SplitMix64`, which has no weak seeds.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
