//! The random choices of a schedule, drawn from its number.

use std::time::Duration;

/// A pseudo-random number generator: one number gives one schedule, on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    /// Returns the next number of `SplitMix64`.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.below(below))
    }

    /// Returns a further generator.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}

/// The faults that a schedule may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// None.
    Calm,
    /// Replies are lost, before and after the commit; short outages.
    LostReplies,
    /// Earlier requests arrive again.
    Repeats,
    /// Wake-ups are dropped.
    DroppedWakeups,
    /// Calls pause for longer than a lease, and the store's clock jumps.
    Takeovers,
    /// The store goes back to a snapshot.
    Rewinds,
    /// All but rewinds.
    Storm,
}

impl Kind {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        match rng.below(10) {
            0 | 1 => Self::Calm,
            2 => Self::LostReplies,
            3 => Self::Repeats,
            4 => Self::DroppedWakeups,
            5 | 6 => Self::Takeovers,
            7 => Self::Rewinds,
            _ => Self::Storm,
        }
    }

    /// Returns true if a server may take a session over from one that runs.
    pub(crate) fn takes_over(self) -> bool {
        matches!(self, Self::Takeovers | Self::Storm | Self::Rewinds)
    }
}

/// The script of a session's answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    pub(crate) events: u64,
    pub(crate) ending: Ending,
    /// The longest pause between two events, in milliseconds; 0 for none.
    pub(crate) pause: u64,
    /// The event after which the answer asks the user a question.
    pub(crate) asks: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Complete,
    Fail,
    Panic,
    Hang,
}

impl Script {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let events = rng.below(40);
        let asks = 1 + rng.below(3 * events.max(1));
        Self {
            events,
            asks: Some(asks).filter(|at| *at <= events),
            ending: match rng.below(8) {
                0 => Ending::Fail,
                1 => Ending::Panic,
                2 | 3 => Ending::Hang,
                _ => Ending::Complete,
            },
            pause: [0, 20, 400][usize::try_from(rng.below(3)).unwrap_or(0)],
        }
    }
}
