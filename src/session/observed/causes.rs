use std::{
    error::Error,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use tokio::time::Instant;

/// The time for which a cause isn't traced again.
const QUIET: Duration = Duration::from_secs(1);
/// The most causes that are told apart at a time.
const MAX_CAUSES: usize = 32;

/// The causes that were traced a moment ago. Each is traced at most once a second.
#[derive(Debug, Default)]
pub(super) struct RecentCauses {
    recent: Vec<RecentCause>,
}

#[derive(Debug)]
struct RecentCause {
    hash: u64,
    traced: Instant,
    left_out: u64,
}

impl RecentCauses {
    /// Counts a failure of this call. Returns the number of equal ones that were left out since the last trace, if
    /// this one is to be traced.
    pub(super) fn count(&mut self, call: &str, error: &dyn Error) -> Option<u64> {
        let mut hash = DefaultHasher::new();
        call.hash(&mut hash);
        Chain(error).to_string().hash(&mut hash);
        let (hash, now) = (hash.finish(), Instant::now());
        if let Some(known) = self.recent.iter_mut().find(|it| it.hash == hash) {
            if now - known.traced < QUIET {
                known.left_out += 1;
                return None;
            }
            known.traced = now;
            return Some(std::mem::take(&mut known.left_out));
        }
        if self.recent.len() >= MAX_CAUSES {
            let oldest = self.recent.iter().enumerate();
            let (oldest, cause) = oldest.min_by_key(|(_, it)| it.traced)?;
            if now - cause.traced < QUIET {
                // As many causes in a second are one: texts that differ each time.
                return None;
            }
            self.recent.swap_remove(oldest);
        }
        self.recent.push(RecentCause {
            hash,
            traced: now,
            left_out: 0,
        });
        Some(0)
    }
}

/// An error with its sources, as one line.
pub(super) struct Chain<'a>(pub(super) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.0.to_string();
        f.write_str(&told)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            // Some libraries repeat the source in their own text.
            if !told.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            told = text;
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    fn lost(text: &str) -> StoreError {
        StoreError::unavailable(true, text)
    }

    #[tokio::test(start_paused = true)]
    async fn a_cause_is_traced_once_a_second_with_the_number_of_those_left_out() {
        let mut causes = RecentCauses::default();
        assert_eq!(causes.count("append", &lost("no disk")), Some(0));
        for _ in 0..3 {
            assert_eq!(causes.count("append", &lost("no disk")), None);
        }
        // Another call, or another cause, is another one.
        assert_eq!(causes.count("read", &lost("no disk")), Some(0));
        assert_eq!(causes.count("append", &lost("no right")), Some(0));
        tokio::time::advance(QUIET).await;
        assert_eq!(causes.count("append", &lost("no disk")), Some(3));
        assert_eq!(causes.count("append", &lost("no disk")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn causes_that_differ_each_time_are_bounded() {
        let mut causes = RecentCauses::default();
        for second in 0..3 {
            let each = (0..100).map(|at| lost(&format!("{second} {at}")));
            let traced = each.filter(|error| causes.count("append", error).is_some());
            assert_eq!(traced.count(), MAX_CAUSES, "{second}");
            tokio::time::advance(QUIET).await;
        }
    }

    #[test]
    fn a_chain_tells_all_sources_once() {
        let error = lost("the connection was refused");
        let chain = Chain(&error).to_string();
        assert!(
            chain.ends_with("later: the connection was refused"),
            "{chain}"
        );
        let io = std::io::Error::other(lost("no disk"));
        assert_eq!(Chain(&io).to_string().matches("unavailable").count(), 1);
    }
}
