//! Enumerations of the wire that may grow: known words are variants, any other word is kept.

use super::InputAction;

/// Defines an enumeration of words.
macro_rules! words {
    (
        $(#[$doc:meta])*
        pub enum $Name:ident {
            $($(#[$variant_doc:meta])* $Variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Name {
            $($(#[$variant_doc])* $Variant,)+
            /// A word that this version doesn't know.
            Other(Box<str>),
        }

        impl $Name {
            /// Returns the word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$Variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for $Name {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$Variant,)+
                    other => Self::Other(other.into()),
                }
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $Name {
            fn serialize<S>(&self, serializer: S) -> Result<S::Ok, S::Error>
            where
                S: serde::Serializer,
            {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $Name {
            fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                let word = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Ok(Self::from(word.as_ref()))
            }
        }
    };
}
pub(super) use words;

words! {
    /// The side that runs a tool that both sides know.
    #[derive(Default)]
    pub enum ToolAuthority {
        /// The client.
        #[default]
        Client = "client",
        /// The server.
        Server = "server",
    }
}

words! {
    /// The kind of a question.
    pub enum InputKind {
        /// Asks for permission.
        Approval = "approval",
        /// Asks for something that only the user knows.
        Question = "question",
    }
}

words! {
    /// The outcome of a question.
    pub enum InputOutcome {
        /// The user allowed it, or answered.
        Accept = "accept",
        /// The user refused.
        Decline = "decline",
        /// The user dismissed the question, or it was withdrawn.
        Cancel = "cancel",
        /// There was no answer in time.
        Timeout = "timeout",
    }
}

impl From<InputAction> for InputOutcome {
    fn from(action: InputAction) -> Self {
        match action {
            InputAction::Accept => Self::Accept,
            InputAction::Decline => Self::Decline,
            InputAction::Cancel => Self::Cancel,
        }
    }
}
