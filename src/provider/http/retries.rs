use std::time::Duration;

use crate::{chat::ProviderError, log::ErrorCode};

const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(8);
// The client waits meanwhile; it can wait longer by itself.
const LONGEST_ASKED: Duration = Duration::from_secs(30);
// Of what is paid for, and goes on meanwhile. The limits of the session end the wait before.
#[cfg(any(feature = "openai-responses-upstream", feature = "unbroken-upstream"))]
const LONGEST_READ: Duration = Duration::from_secs(3600);

/// A failure before the first event.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ProviderError,
    /// True if a retry may help, false if none can. `None` if the error decides.
    pub(crate) retry: Option<bool>,
}

impl Failure {
    /// Creates a failure that is final: the server would do the same again.
    pub(super) fn last(error: ProviderError) -> Self {
        Self {
            error,
            retry: Some(false),
        }
    }

    fn is_worth_a_retry(&self) -> bool {
        // A silent server may have worked on the request.
        let temporary = self.error.is_recoverable() && self.error.code() == ErrorCode::Provider;
        self.retry.unwrap_or(temporary)
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self { error, retry: None }
    }
}

/// Counts the retries of a request, and computes the time before each. No I/O and no clock.
#[derive(Debug)]
pub(crate) struct Retries {
    left: u32,
    wait: Duration,
    /// The longest wait that a server may ask for.
    longest_asked: Duration,
}

impl Retries {
    pub(crate) fn new(max: u32) -> Self {
        Self {
            left: max,
            wait: SHORTEST,
            longest_asked: LONGEST_ASKED,
        }
    }

    /// Counts the retries of a read, which waits as long as the server asks for, up to an hour.
    #[cfg(any(feature = "openai-responses-upstream", feature = "unbroken-upstream"))]
    pub(crate) fn of_read(max: u32) -> Self {
        Self {
            longest_asked: LONGEST_READ,
            ..Self::new(max)
        }
    }

    /// Returns the time to wait after this failure, if it is worth a retry.
    pub(crate) fn next(&mut self, failure: &Failure) -> Option<Duration> {
        // Without randomness all clients retry together, which is better than no retry.
        let chance = getrandom::u32().unwrap_or(0);
        self.after(failure, chance)
    }

    /// Returns the time to wait after this failure, if it is worth a retry. `chance` is a random
    /// number that keeps clients that failed together from retrying together.
    pub(super) fn after(&mut self, failure: &Failure, chance: u32) -> Option<Duration> {
        if !failure.is_worth_a_retry() || self.left == 0 {
            return None;
        }
        let chance = f64::from(chance) / f64::from(u32::MAX);
        let wait = match failure.error.retry_after() {
            Some(asked) if asked > self.longest_asked => return None,
            Some(asked) => asked + self.wait.mul_f64(chance / 2.0),
            None => self.wait.mul_f64(1.0 - chance / 2.0),
        };
        self.left -= 1;
        self.wait = (self.wait * 2).min(LONGEST);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overloaded() -> ProviderError {
        ProviderError::new("no").recoverable(true)
    }

    fn waits(max: u32, error: ProviderError, chance: u32) -> Vec<u128> {
        waits_after(max, &error.into(), chance)
    }

    fn waits_after(max: u32, failure: &Failure, chance: u32) -> Vec<u128> {
        let mut retries = Retries::new(max);
        std::iter::from_fn(|| retries.after(failure, chance))
            .map(|wait| wait.as_millis())
            .collect()
    }

    #[test]
    fn waits_double_up_to_a_limit_and_their_number_is_limited() {
        assert_eq!(
            waits(7, overloaded(), 0),
            [500, 1000, 2000, 4000, 8000, 8000, 8000]
        );
        assert_eq!(waits(2, overloaded(), u32::MAX), [250, 500]);
        assert!(waits(0, overloaded(), 0).is_empty());
    }

    #[test]
    fn the_wait_that_the_server_asks_for_is_kept_unless_it_is_too_long() {
        let after = |secs| overloaded().with_retry_after(Duration::from_secs(secs));
        assert_eq!(waits(2, after(3), 0), [3000, 3000]);
        assert_eq!(waits(2, after(3), u32::MAX), [3250, 3500]);
        assert_eq!(waits(1, after(30), 0), [30_000]);
        assert!(waits(1, after(31), 0).is_empty());
    }

    #[cfg(any(feature = "openai-responses-upstream", feature = "unbroken-upstream"))]
    #[test]
    fn a_read_waits_longer_for_what_goes_on_meanwhile() {
        let wait = |secs| {
            let error = overloaded().with_retry_after(Duration::from_secs(secs));
            Retries::of_read(1).after(&error.into(), 0)
        };
        assert_eq!(wait(3600), Some(Duration::from_secs(3600)));
        assert_eq!(wait(3601), None);
    }

    #[test]
    fn a_failure_that_is_not_recoverable_or_a_timeout_is_not_retried() {
        assert!(waits(2, ProviderError::new("no"), 0).is_empty());
        let silent = overloaded().with_code(ErrorCode::Timeout);
        assert!(waits(2, silent, 0).is_empty());
    }

    #[test]
    fn more_that_is_known_of_a_failure_decides() {
        assert!(waits_after(2, &Failure::last(overloaded()), 0).is_empty());
        let worth_it = Failure {
            error: ProviderError::new("no"),
            retry: Some(true),
        };
        assert_eq!(waits_after(2, &worth_it, 0), [500, 1000]);
    }
}
