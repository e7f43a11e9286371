use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

// Names that are counted at once; the oldest is forgotten for a new one.
const MAX_NAMES: usize = 4096;

/// What a provider was asked to do, by the names that scripts gave to their calls.
#[derive(Clone, Default)]
pub(super) struct Tally {
    counts: Arc<Mutex<Names>>,
}

#[derive(Default)]
struct Names {
    counts: HashMap<Arc<str>, Counts>,
    oldest_first: VecDeque<Arc<str>>,
}

/// What was counted under a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    calls: u64,
    running: u64,
    tokens: u64,
}

/// One call that is counted, for as long as its stream is there.
pub(super) struct Counted {
    tally: Tally,
    name: Arc<str>,
}

impl Tally {
    /// Counts a call under this name.
    pub(super) fn call(&self, name: &str) -> Counted {
        let name: Arc<str> = name.into();
        let mut names = self.names();
        if !names.counts.contains_key(&name) {
            if names.oldest_first.len() == MAX_NAMES
                && let Some(oldest) = names.oldest_first.pop_front()
            {
                names.counts.remove(&oldest);
            }
            names.oldest_first.push_back(name.clone());
        }
        let counts = names.counts.entry(name.clone()).or_default();
        counts.calls += 1;
        counts.running += 1;
        drop(names);
        Counted {
            tally: self.clone(),
            name,
        }
    }

    pub(super) fn of(&self, name: &str) -> Counts {
        self.names().counts.get(name).copied().unwrap_or_default()
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// Counts a token.
    pub(super) fn token(&self) {
        self.with(|counts| counts.tokens += 1);
    }

    fn with(&self, count: impl FnOnce(&mut Counts)) {
        // Absent if it was forgotten.
        if let Some(counts) = self.tally.names().counts.get_mut(&self.name) {
            count(counts);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.with(|counts| counts.running = counts.running.saturating_sub(1));
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            calls,
            running,
            tokens,
        } = self;
        write!(
            f,
            r#"{{"calls":{calls},"running":{running},"tokens":{tokens}}}"#
        )
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_name_is_forgotten_for_a_new_one() {
        let tally = Tally::default();
        let first = tally.call("0");
        for name in 1..MAX_NAMES {
            drop(tally.call(&name.to_string()));
        }
        assert_eq!(
            tally.of("0").to_string(),
            r#"{"calls":1,"running":1,"tokens":0}"#
        );
        drop(tally.call("one more"));
        assert_eq!(tally.of("0"), Counts::default());
        assert_eq!(tally.of("one more").calls, 1);
        first.token();
        drop(first);
        assert_eq!(tally.of("0"), Counts::default());
    }
}
