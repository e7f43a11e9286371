use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// The id of a session.
///
/// Some access policies let every client read a session whose id it presents, so `Debug` shows only
/// the first four characters.
///
/// An id from [`random`](Self::random) carries 128 random bits. An id that a client makes has 22 to
/// 128 characters of `A-Z a-z 0-9 . _ ~ -`, and its first character is alphanumeric.
///
/// ```
/// use unbroken::log::SessionId;
///
/// let id = SessionId::random();
/// assert_eq!(id.as_str().len(), 26);
///
/// let from_client: SessionId = "my-client-made-session-0001".parse()?;
/// assert!("too-short".parse::<SessionId>().is_err());
/// # Ok::<_, unbroken::log::InvalidSessionId>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Arc<str>);

/// The error of a string that is not a [`SessionId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSessionId {
    /// The string has so many bytes, fewer than [`SessionId::MIN_LEN`], and could be guessed.
    #[error("a session id has at least 22 characters; this one has {0}")]
    TooShort(usize),
    /// The string has so many bytes, more than [`SessionId::MAX_LEN`].
    #[error("a session id has at most 128 characters; this one has {0}")]
    TooLong(usize),
    /// A character is not allowed at its place.
    #[error("a session id is made of A-Z a-z 0-9 . _ ~ - and starts with a letter or digit")]
    Character,
}

impl SessionId {
    /// The smallest number of characters of an id.
    pub const MIN_LEN: usize = 22;
    /// The largest number of characters of an id.
    pub const MAX_LEN: usize = 128;

    /// Creates an id with 128 bits from the operating system's source of randomness.
    ///
    /// # Panics
    ///
    /// Panics if the operating system has no source of randomness.
    pub fn random() -> Self {
        Self::random_after("")
    }

    /// Creates a random id with a prefix.
    ///
    /// # Panics
    ///
    /// Panics as [`random`](Self::random) and [`from_bits`](Self::from_bits) do.
    pub(crate) fn random_after(prefix: &'static str) -> Self {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).expect("the operating system gives randomness");
        Self::from_bits(prefix, u128::from_be_bytes(bits))
    }

    /// Creates the id of a prefix and these bits.
    ///
    /// # Panics
    ///
    /// Panics if the prefix has more than 32 characters, or characters that an id may not have.
    pub(crate) fn from_bits(prefix: &'static str, bits: u128) -> Self {
        assert!(
            prefix.len() <= 32,
            "the prefix of an id has at most 32 characters"
        );
        let text = format!("{prefix}{}", super::epoch::base32(bits, 26));
        text.parse()
            .expect("the prefix of an id has the characters of an id")
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
        match text.len() {
            len if len < Self::MIN_LEN => Err(InvalidSessionId::TooShort(len)),
            len if len > Self::MAX_LEN => Err(InvalidSessionId::TooLong(len)),
            _ if !text.bytes().all(allowed) => Err(InvalidSessionId::Character),
            _ if !text.as_bytes()[0].is_ascii_alphanumeric() => Err(InvalidSessionId::Character),
            _ => Ok(Self(text.into())),
        }
    }
}

impl Borrow<str> for SessionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({}…)", &self.0[..4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_borrows_as_its_text() {
        let id = SessionId::random();
        assert_eq!(Borrow::<str>::borrow(&id), id.as_str());
    }

    #[test]
    fn the_limits_of_a_client_made_id_hold_on_both_sides() {
        assert_eq!(
            "a".repeat(21).parse::<SessionId>(),
            Err(InvalidSessionId::TooShort(21))
        );
        assert!("a".repeat(22).parse::<SessionId>().is_ok());
        assert!("a".repeat(128).parse::<SessionId>().is_ok());
        assert_eq!(
            "a".repeat(129).parse::<SessionId>(),
            Err(InvalidSessionId::TooLong(129))
        );
    }

    #[test]
    fn only_the_listed_characters_are_taken() {
        assert!("A-Za-z0-9._~-abcdefghijkl".parse::<SessionId>().is_ok());
        for bad in [
            "-starts-with-a-dash-0000",
            "has/a/slash/0000000000000",
            "has a space 0000000000000",
            "hás-an-accent-00000000000",
        ] {
            assert_eq!(
                bad.parse::<SessionId>(),
                Err(InvalidSessionId::Character),
                "{bad}"
            );
        }
    }

    #[test]
    fn random_ids_are_valid_and_differ() {
        let (a, b) = (SessionId::random(), SessionId::random());
        assert_ne!(a, b);
        assert_eq!(a.as_str().parse::<SessionId>().as_ref(), Ok(&a));
    }

    #[test]
    fn debug_does_not_show_the_whole_id() {
        let id = SessionId::random();
        assert!(!format!("{id:?}").contains(id.as_str()));
    }
}
