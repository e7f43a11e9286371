//! Names that belong to a session. They are opaque to this crate and compared byte by byte.

use std::{fmt, str::FromStr, sync::Arc};

/// The error of a text that is no [`Owner`], [`ChatId`] or [`ServiceName`]: it is empty, or longer than
/// 128 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} has 1 to 128 bytes; this one has {len}")]
#[non_exhaustive]
pub struct InvalidName {
    kind: &'static str,
    len: usize,
}

impl InvalidName {
    /// Returns the number of bytes of the text.
    #[expect(
        clippy::len_without_is_empty,
        reason = "the length of a text that is refused"
    )]
    pub const fn len(&self) -> usize {
        self.len
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $Name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $Name(Arc<str>);

        impl $Name {
            /// The largest number of bytes of a name.
            pub const MAX_LEN: usize = 128;

            /// Creates a name that the program itself gives.
            ///
            /// Text from outside, such as a request or a database, is parsed: with `parse`, or with
            /// `try_from` for text that is owned.
            ///
            /// # Panics
            ///
            /// Panics if the name has fewer than 1 or more than 128 bytes.
            #[track_caller]
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                match Self::checked(name.into()) {
                    Ok(name) => name,
                    Err(error) => panic!("{error}"),
                }
            }

            fn checked(name: Arc<str>) -> Result<Self, InvalidName> {
                Self::check(&name).map(|()| Self(name))
            }

            /// Checks a text before it is copied.
            fn check(name: &str) -> Result<(), InvalidName> {
                match name.len() {
                    1..=Self::MAX_LEN => Ok(()),
                    len => Err(InvalidName { kind: $kind, len }),
                }
            }

            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $Name {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::check(name).map(|()| Self(name.into()))
            }
        }

        impl TryFrom<&str> for $Name {
            type Error = InvalidName;

            fn try_from(name: &str) -> Result<Self, InvalidName> {
                name.parse()
            }
        }

        impl TryFrom<String> for $Name {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                name.parse()
            }
        }

        impl TryFrom<Box<str>> for $Name {
            type Error = InvalidName;

            fn try_from(name: Box<str>) -> Result<Self, InvalidName> {
                name.parse()
            }
        }

        impl TryFrom<Arc<str>> for $Name {
            type Error = InvalidName;

            fn try_from(name: Arc<str>) -> Result<Self, InvalidName> {
                Self::checked(name)
            }
        }
    };
}

name! {
    /// The owner of a session, as the application's access policy names it: 1 to 128 bytes.
    Owner, "an owner"
}
name! {
    /// The conversation that a session belongs to: 1 to 128 bytes. The application owns its messages.
    ChatId, "a chat's id"
}
name! {
    /// The name of the layer that started a session: 1 to 128 bytes.
    ///
    /// It is stored with the session. The recovery of a session uses the layer that is registered
    /// under this name.
    ServiceName, "a service's name"
}

/// A SHA-256 over the parts of a request that make two requests equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_128_bytes() {
        for (len, fits) in [(0, false), (1, true), (128, true), (129, false)] {
            let text = "n".repeat(len);
            assert_eq!(text.parse::<Owner>().is_ok(), fits, "{len}");
            assert_eq!(ChatId::try_from(text.as_str()).is_ok(), fits, "{len}");
            assert_eq!(ServiceName::try_from(text.clone()).is_ok(), fits, "{len}");
            assert_eq!(
                Owner::try_from(Arc::<str>::from(&*text)).is_ok(),
                fits,
                "{len}"
            );
            assert_eq!(
                ChatId::try_from(text.into_boxed_str()).is_ok(),
                fits,
                "{len}"
            );
        }
        // 43 characters of 3 bytes.
        assert_eq!(
            "\u{20ac}".repeat(43).parse::<ChatId>().unwrap_err().len(),
            129
        );
    }

    #[test]
    fn the_error_names_the_kind_and_the_limit() {
        let error = "n".repeat(200).parse::<ChatId>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "a chat's id has 1 to 128 bytes; this one has 200"
        );
    }

    #[test]
    #[should_panic(expected = "an owner has 1 to 128 bytes; this one has 129")]
    fn a_name_of_the_program_that_is_too_long_panics() {
        let _ = Owner::new("n".repeat(129));
    }
}
