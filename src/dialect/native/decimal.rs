/// A number as decimal digits that counts up in place: cheaper than formatting each LSN of a run.
pub(super) struct Decimal {
    digits: [u8; Self::MAX],
    start: usize,
}

impl Decimal {
    /// The most digits that a `u64` has.
    pub(super) const MAX: usize = 20;

    pub(super) fn new(mut number: u64) -> Self {
        let mut digits = [b'0'; Self::MAX];
        let mut start = Self::MAX;
        loop {
            start -= 1;
            let digit = (number % 10) as u8;
            digits[start] += digit;
            number /= 10;
            if number == 0 {
                break Self { digits, start };
            }
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }

    /// Adds one. Twenty nines become one and nineteen noughts, without the carry that a `u64`
    /// couldn't hold either.
    pub(super) fn increment(&mut self) {
        for at in (0..Self::MAX).rev() {
            self.start = self.start.min(at);
            if self.digits[at] < b'9' {
                self.digits[at] += 1;
                return;
            }
            self.digits[at] = b'0';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_as_numbers_do() {
        for start in [0, 1, 8, 9, 10, 98, 99, 100, 99_999_999, u64::MAX - 3] {
            let mut decimal = Decimal::new(start);
            for number in start..=start.saturating_add(3) {
                assert_eq!(decimal.as_bytes(), number.to_string().as_bytes());
                decimal.increment();
            }
        }
    }
}
