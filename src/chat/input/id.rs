use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An id of one question within a session: 1 to 128 characters of `A-Z a-z 0-9 . _ ~ -`, the first
/// one alphanumeric.
///
/// ```
/// use unbroken::chat::InputId;
///
/// assert!("call_1.approval".parse::<InputId>().is_ok());
/// assert!("not/this".parse::<InputId>().is_err());
/// assert_ne!(InputId::random(), InputId::random());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputId(Arc<str>);

/// The error of a string that is not an [`InputId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidInputId {
    /// The string is empty, or longer than [`InputId::MAX_LEN`].
    #[error("an input id has 1 to 128 characters; this one has {0}")]
    Length(usize),
    /// A character is not allowed at its position.
    #[error("an input id is made of A-Z a-z 0-9 . _ ~ - and starts with a letter or digit")]
    Character,
}

impl InputId {
    /// The maximum number of characters.
    pub const MAX_LEN: usize = 128;

    /// Creates an id with 128 bits from the operating system's source of randomness.
    ///
    /// # Panics
    ///
    /// If the operating system provides no randomness.
    pub fn random() -> Self {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).expect("the operating system gives randomness");
        Self(format!("{:032x}", u128::from_be_bytes(bits)).into())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InputId {
    type Err = InvalidInputId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
        let first = text.bytes().next();
        if first.is_none() || text.len() > Self::MAX_LEN {
            Err(InvalidInputId::Length(text.len()))
        } else if first.is_some_and(|b| b.is_ascii_alphanumeric()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidInputId::Character)
        }
    }
}

impl Borrow<str> for InputId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for InputId {
    fn serialize<S>(&self, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
    {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for InputId {
    fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
    where
        D: Deserializer<'de>,
    {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_hold_on_both_sides() {
        let of = |text: &str| text.parse::<InputId>().map(|_| ());
        assert_eq!(of(""), Err(InvalidInputId::Length(0)));
        assert_eq!(of("a"), Ok(()));
        assert_eq!(of(&"a".repeat(128)), Ok(()));
        assert_eq!(of(&"a".repeat(129)), Err(InvalidInputId::Length(129)));
        assert_eq!(of("A-Za.z_~9"), Ok(()));
        for bad in ["-a", ".a", "a b", "a/b", "á", "a\n"] {
            assert_eq!(of(bad), Err(InvalidInputId::Character), "{bad}");
        }
        assert_eq!(of(InputId::random().as_str()), Ok(()));
    }

    #[test]
    fn an_invalid_id_is_not_read() {
        let read = |text| serde_json::from_str::<InputId>(text);
        assert_eq!(read(r#""a.b""#).unwrap().as_str(), "a.b");
        assert!(read(r#""a/b""#).unwrap_err().to_string().contains("A-Z"));
        assert!(read("7").is_err());
    }
}
