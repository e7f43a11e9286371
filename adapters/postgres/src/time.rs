//! Converts durations to and from those of the database, in microseconds.

use std::time::Duration;

/// Some 36,000 years: a sum with any time still fits.
const LONGEST: u64 = 1 << 60;

/// Converts a duration, rounded up: only zero becomes zero, which stands for a lease that
/// was given back.
pub(crate) fn micros(span: Duration) -> i64 {
    let micros = span.as_nanos().div_ceil(1000);
    i64::try_from(micros.min(LONGEST.into())).unwrap_or(i64::MAX)
}

/// Converts a number of microseconds; a negative one becomes zero.
pub(crate) fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_round_up_and_stay_within_reason() {
        assert_eq!(micros(Duration::ZERO), 0);
        assert_eq!(micros(Duration::from_nanos(1)), 1);
        assert_eq!(micros(Duration::from_millis(3)), 3000);
        assert!(
            micros(Duration::MAX)
                .checked_add(4_000_000_000_000_000)
                .is_some()
        );
        assert_eq!(
            span(micros(Duration::from_millis(3))),
            Duration::from_millis(3)
        );
        assert_eq!(span(-5), Duration::ZERO);
    }
}
