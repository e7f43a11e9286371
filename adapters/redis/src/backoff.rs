use std::time::Duration;

/// The wait before the next attempt to connect.
///
/// It doubles from 20 ms to 1 s, less a random part, so that many servers don't reconnect at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

const FIRST: Duration = Duration::from_millis(20);
const LAST: Duration = Duration::from_secs(1);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// Returns a wait between half of the present step and all of it.
    pub(crate) fn next(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(LAST);
        // Without randomness the whole step is used.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        let half = step / 2;
        half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_longer_up_to_a_second() {
        let mut backoff = Backoff::new();
        let mut step = FIRST;
        for _ in 0..10 {
            let wait = backoff.next();
            assert!(step / 2 <= wait && wait <= step, "{wait:?} of {step:?}");
            step = (step * 2).min(LAST);
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
