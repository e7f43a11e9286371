use std::{fmt, str::FromStr};

/// One ownership of a session: a counter and 64 random bits.
///
/// Each claim makes a new epoch and fences the former owner. The random bits tell apart two owners
/// with the same counter, which can exist after a failover to a replica that lags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// The number of the ownership: 1 for the creator, one more with each claim.
    pub counter: u64,
    /// Random bits, drawn when the epoch was made.
    pub bits: u64,
}

impl Epoch {
    /// Creates the first epoch of a session, with new random bits.
    ///
    /// # Panics
    ///
    /// Panics if the operating system has no source of randomness.
    pub fn first() -> Self {
        Self {
            counter: 1,
            bits: random_bits(),
        }
    }

    /// Creates the epoch that follows this one, with new random bits.
    ///
    /// # Panics
    ///
    /// Panics if the operating system has no source of randomness.
    #[must_use]
    pub fn succeed(self) -> Self {
        Self {
            counter: self.counter + 1,
            bits: random_bits(),
        }
    }

    /// Returns the number of claims that led to this epoch: 0 for the creator's.
    pub const fn claims(self) -> u64 {
        self.counter.saturating_sub(1)
    }

    /// Returns a short tag of this epoch, for use in cursors.
    pub const fn tag(self) -> EpochTag {
        // The odd factor (Knuth's) mixes the counter in, so that two epochs with equal bits, as in
        // a test, have different tags.
        EpochTag(((self.bits ^ self.counter.wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 24) & TAG_MASK)
    }
}

fn random_bits() -> u64 {
    getrandom::u64().expect("the operating system gives randomness")
}

const TAG_LEN: usize = 7;
const TAG_MASK: u64 = (1 << (5 * TAG_LEN)) - 1;

/// A short tag of an [`Epoch`]: 35 bits, seven characters as text.
///
/// ```
/// use unbroken::log::{Epoch, EpochTag};
///
/// let tag = Epoch::first().tag();
/// assert_eq!(tag.to_string().parse::<EpochTag>(), Ok(tag));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EpochTag(u64);

/// The error of a string that is not an [`EpochTag`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tag of a cursor is seven characters of 0-9 a-z, handed back as it was given")]
pub struct InvalidEpochTag;

impl fmt::Display for EpochTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32(self.0.into(), TAG_LEN))
    }
}

impl FromStr for EpochTag {
    type Err = InvalidEpochTag;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != TAG_LEN {
            return Err(InvalidEpochTag);
        }
        text.bytes()
            .try_fold(0, |bits, byte| {
                let digit = ALPHABET.iter().position(|&a| a == byte)?;
                Some(bits << 5 | digit as u64)
            })
            .map(Self)
            .ok_or(InvalidEpochTag)
    }
}

// Crockford's alphabet: no i, l, o, u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Returns the low `5 * len` bits of `bits` as `len` characters.
pub(super) fn base32(bits: u128, len: usize) -> String {
    (0..len)
        .rev()
        .map(|at| ALPHABET[(bits >> (5 * at)) as usize & 31] as char)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_survives_its_text_form() {
        for _ in 0..100 {
            let tag = Epoch::first().tag();
            assert_eq!(tag.to_string().parse(), Ok(tag));
        }
    }

    #[test]
    fn each_claim_changes_the_tag() {
        let first = Epoch {
            counter: 1,
            bits: 7,
        };
        let second = Epoch {
            counter: 2,
            bits: 7,
        };
        assert_ne!(first.tag(), second.tag());
        assert_ne!(first.succeed().bits, first.succeed().bits);
    }

    #[test]
    fn a_tag_is_the_same_on_every_server() {
        let epoch = Epoch {
            counter: 3,
            bits: 0x0123_4567_89AB_CDEF,
        };
        assert_eq!(epoch.tag().to_string(), "e2jgjzm");
    }

    #[test]
    fn strings_that_are_not_tags_are_refused() {
        for bad in ["", "000000", "00000000", "000000i", "000000A", "00000é"] {
            assert_eq!(bad.parse::<EpochTag>(), Err(InvalidEpochTag), "{bad}");
        }
    }
}
