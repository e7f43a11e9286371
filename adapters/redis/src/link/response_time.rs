use std::time::Duration;

use crate::RedisOptions;

/// The time that a command has, by the bytes that it moves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseTime {
    least: Duration,
    bytes_per_second: u64,
}

/// The bytes up to which a command and its reply are small.
const SMALL: usize = 512 << 10;

/// Returns true for so many bytes that other commands should not wait behind them.
pub(crate) const fn is_large(bytes: usize) -> bool {
    bytes > SMALL
}

impl ResponseTime {
    pub(crate) fn of(options: &RedisOptions) -> Self {
        Self {
            least: options.response_timeout,
            bytes_per_second: u64::try_from(options.min_bytes_per_second.max(1))
                .unwrap_or(u64::MAX),
        }
    }

    /// Returns the time of a command that is answered once so many bytes have gone over its connection.
    pub(crate) fn for_bytes(self, bytes: usize) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let micros = bytes.saturating_mul(1_000_000) / self.bytes_per_second;
        self.least.saturating_add(Duration::from_micros(micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_the_time_that_the_slowest_link_needs() {
        let options = RedisOptions::new()
            .response_timeout(Duration::from_secs(3))
            .min_bytes_per_second(1 << 20);
        let time = ResponseTime::of(&options);
        assert_eq!(time.for_bytes(0), Duration::from_secs(3));
        assert_eq!(time.for_bytes(1 << 19), Duration::from_millis(3500));
        assert_eq!(time.for_bytes(16 << 20), Duration::from_secs(19));
        assert!(time.for_bytes(usize::MAX) > Duration::from_secs(3));
        let none = ResponseTime::of(&options.min_bytes_per_second(0));
        assert_eq!(none.for_bytes(1), Duration::from_secs(4));
    }
}
