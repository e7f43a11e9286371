use std::{fmt, str::FromStr};

/// One ownership of a session: a counter, and 64 random bits that tell apart two owners who both
/// believe to be the nth (after a failover to a replica that lags).
///
/// Each claim makes a new one and fences the former owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch {
    /// 1 for the creator, one more with each claim.
    pub counter: u64,
    /// Random, from whoever made the epoch.
    pub bits: u64,
}

impl Epoch {
    /// The first epoch of a session, with fresh random bits.
    pub fn first() -> Self {
        Self {
            counter: 1,
            bits: random_bits(),
        }
    }

    /// The epoch that follows this one, with fresh random bits.
    #[must_use]
    pub fn succeed(self) -> Self {
        Self {
            counter: self.counter + 1,
            bits: random_bits(),
        }
    }

    /// A short tag of this epoch, for cursors.
    pub const fn tag(self) -> EpochTag {
        // The counter is mixed in by an odd factor (Knuth's), so that two epochs that share their
        // bits, as in a test, still differ.
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

/// A string that is not an [`EpochTag`].
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

/// The low `5 * len` bits of `bits` as `len` characters.
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
    fn what_is_not_a_tag_is_refused() {
        for bad in ["", "000000", "00000000", "000000i", "000000A", "00000é"] {
            assert_eq!(bad.parse::<EpochTag>(), Err(InvalidEpochTag), "{bad}");
        }
    }
}
