//! Spans as the database keeps them: whole microseconds.

use std::time::Duration;

/// Some 36,000 years: with any time added to it, it still fits.
const LONGEST: u64 = 1 << 60;

/// A span that isn't zero never becomes zero: a lease of zero means something else.
pub(crate) fn micros(span: Duration) -> i64 {
    let micros = span.as_nanos().div_ceil(1000);
    i64::try_from(micros.min(LONGEST.into())).unwrap_or(i64::MAX)
}

/// Nothing, where it is negative.
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
