//! The names that a session is filed under: opaque to everything here, compared byte by byte.

use std::{fmt, sync::Arc};

macro_rules! name {
    ($(#[$doc:meta])* $Name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $Name(Arc<str>);

        impl $Name {
            /// This name.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as text.
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
    /// Whom a session belongs to, as the application's access policy names them.
    Owner
}
name! {
    /// The conversation that a session belongs to; the application owns its messages.
    ChatId
}
name! {
    /// The layer that started a session, stored with it: what can start it again registers under
    /// this name.
    ServiceName
}

/// A SHA-256 of what makes two requests the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);
