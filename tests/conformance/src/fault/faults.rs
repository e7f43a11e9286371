use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// A method of the store.
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
    List,
    Orphans,
    Sweep,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request is lost: nothing happens, and the caller can't know.
    LoseBefore,
    /// The reply is lost: all of it happened, and the caller can't know.
    LoseAfter,
    /// A copy of the request arrives again, right before the further call with this number; its reply
    /// goes nowhere. Only `create`, `claim`, `renew`, `append`, `abort`, `answer`, `hold` and
    /// `delete` have copies; any other call is made as usual.
    Repeat(usize),
    /// The call is made this much later.
    PauseBefore(Duration),
    /// The reply comes this much later.
    PauseAfter(Duration),
    /// No wake-up arrives: a `changed` that begins to sleep does so up to its limit. Any other call
    /// is made as usual.
    MissWake,
}

/// How often each fault happens at random, in calls of a thousand. None does by default.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Rates {
    /// Of [`Fault::LoseBefore`].
    pub lose_before: u16,
    /// Of [`Fault::LoseAfter`].
    pub lose_after: u16,
    /// Of [`Fault::Repeat`], after up to [`repeat_within`](Self::repeat_within) calls.
    pub repeat: u16,
    /// In calls.
    pub repeat_within: usize,
    /// Of [`Fault::PauseBefore`].
    pub pause_before: u16,
    /// Of [`Fault::PauseAfter`].
    pub pause_after: u16,
    /// The longest pause.
    pub pause_within: Duration,
    /// Of [`Fault::MissWake`].
    pub miss_wake: u16,
}

/// Says what goes wrong in a [`FaultStore`](crate::fault::FaultStore). Clones are the same handle.
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
    /// Nothing goes wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next call of this method meets this fault. Several for one method are met in order, one
    /// a call.
    pub fn next(&self, op: Op, fault: Fault) {
        self.plan().next.push_back((op, fault));
    }

    /// From now on the store can't be reached and nothing is applied; or it can be again.
    pub fn outage(&self, outage: bool) {
        self.plan().outage = outage;
    }

    /// From now on faults happen at random, the same ones for the same calls and seed.
    pub fn random(&self, seed: u64, rates: Rates) {
        self.plan().random = Some((seed, rates));
    }

    /// From now on nothing goes wrong. Copies of requests that are under way still arrive.
    pub fn heal(&self) {
        let mut plan = self.plan();
        *plan = FaultPlan {
            happened: plan.happened,
            ..FaultPlan::default()
        };
    }

    /// How many calls met a fault so far, outages included.
    pub fn happened(&self) -> usize {
        self.plan().happened
    }

    /// Whether the store can't be reached; counts the call if so.
    pub(super) fn is_out(&self) -> bool {
        let mut plan = self.plan();
        plan.happened += usize::from(plan.outage);
        plan.outage
    }

    /// What goes wrong with this call.
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
        // Drawn for each call alike, so that one rate more or less moves no other call's fault.
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

/// `SplitMix64`: small, and every seed is a good one.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
