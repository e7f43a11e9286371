use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

// The maximum number of names; the oldest is dropped for a new one.
const MAX_NAMES: usize = 4096;

/// Counts the calls of a provider by the names that scripts give them.
#[derive(Clone, Default)]
pub(super) struct CallCounter {
    counts: Arc<Mutex<CallNames>>,
}

#[derive(Default)]
struct CallNames {
    known: HashMap<Arc<str>, NamedCalls>,
    oldest_first: VecDeque<Arc<str>>,
}

/// The counts and holds of a name.
struct NamedCalls {
    counts: CallCounts,
    // A permit lets one call pass one hold.
    releases: Arc<Semaphore>,
}

/// The counts of a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CallCounts {
    calls: u64,
    running: u64,
    tokens: u64,
}

/// One counted call, for as long as its stream exists.
pub(super) struct CountedCall {
    counter: CallCounter,
    name: Arc<str>,
    releases: Arc<Semaphore>,
}

impl CallCounter {
    /// Counts a call under this name.
    pub(super) fn call(&self, name: &str) -> CountedCall {
        let mut names = self.names();
        let (name, known) = names.known(name);
        known.counts.calls += 1;
        known.counts.running += 1;
        let releases = known.releases.clone();
        drop(names);
        CountedCall {
            counter: self.clone(),
            name,
            releases,
        }
    }

    pub(super) fn of(&self, name: &str) -> CallCounts {
        let names = self.names();
        let known = names.known.get(name);
        known.map(|known| known.counts).unwrap_or_default()
    }

    /// Lets one call of this name pass one hold, now or when it gets there.
    pub(super) fn release(&self, name: &str) {
        self.names().known(name).1.releases.add_permits(1);
    }

    fn names(&self) -> MutexGuard<'_, CallNames> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallNames {
    /// Returns the entry of this name, and adds it if it is new.
    fn known(&mut self, name: &str) -> (Arc<str>, &mut NamedCalls) {
        let name: Arc<str> = name.into();
        if !self.known.contains_key(&name) {
            if self.oldest_first.len() == MAX_NAMES
                && let Some(oldest) = self.oldest_first.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.oldest_first.push_back(name.clone());
        }
        let known = self
            .known
            .entry(name.clone())
            .or_insert_with(|| NamedCalls {
                counts: CallCounts::default(),
                releases: Arc::new(Semaphore::new(0)),
            });
        (name, known)
    }
}

impl CountedCall {
    /// Resolves once a release lets this call pass a hold.
    pub(super) fn released(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        let releases = self.releases.clone();
        async move {
            if let Ok(release) = releases.acquire_owned().await {
                release.forget();
            }
        }
    }

    /// Counts a token.
    pub(super) fn token(&self) {
        self.with(|counts| counts.tokens += 1);
    }

    fn with(&self, count: impl FnOnce(&mut CallCounts)) {
        // Absent if the name was dropped.
        if let Some(known) = self.counter.names().known.get_mut(&self.name) {
            count(&mut known.counts);
        }
    }
}

impl Drop for CountedCall {
    fn drop(&mut self) {
        self.with(|counts| counts.running = counts.running.saturating_sub(1));
    }
}

impl fmt::Display for CallCounts {
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

impl fmt::Debug for CallCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallCounter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_name_is_dropped_for_a_new_one() {
        let counter = CallCounter::default();
        let first = counter.call("0");
        for name in 1..MAX_NAMES {
            drop(counter.call(&name.to_string()));
        }
        assert_eq!(
            counter.of("0").to_string(),
            r#"{"calls":1,"running":1,"tokens":0}"#
        );
        drop(counter.call("one more"));
        assert_eq!(counter.of("0"), CallCounts::default());
        assert_eq!(counter.of("one more").calls, 1);
        first.token();
        drop(first);
        assert_eq!(counter.of("0"), CallCounts::default());
    }
}
