//! Names that belong to a session. They are opaque to this crate and compared byte by byte.

use std::{fmt, sync::Arc};

macro_rules! name {
    ($(#[$doc:meta])* $Name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $Name(Arc<str>);

        impl $Name {
            /// Creates a name from text.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
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

        impl<T: Into<Arc<str>>> From<T> for $Name {
            fn from(name: T) -> Self {
                Self::new(name)
            }
        }
    };
}

name! {
    /// The owner of a session, as the application's access policy names it.
    Owner
}
name! {
    /// The conversation that a session belongs to; the application owns its messages.
    ChatId
}
name! {
    /// The name of the layer that started a session.
    ///
    /// It is stored with the session. The recovery of a session uses the layer that is registered
    /// under this name.
    ServiceName
}

/// A SHA-256 over the parts of a request that make two requests equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);
