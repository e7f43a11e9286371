//! Words of the wire that may grow: the ones that we know are variants, any other is kept.

use super::InputAction;

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
            /// The word on the wire.
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

words! {
    /// Why a model stopped.
    #[derive(Default)]
    pub enum FinishReason {
        /// It had said what it had to say.
        #[default]
        Stop = "stop",
        /// It reached the most tokens that it may make.
        Length = "length",
        /// It wants tools to be called; in a `complete` event: they were handed to the client.
        ToolCalls = "tool_calls",
        /// The provider withheld the rest.
        ContentFilter = "content_filter",
    }
}

words! {
    /// Who runs a tool that both sides know.
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
    /// What a question is about.
    pub enum InputKind {
        /// Whether something may be done.
        Approval = "approval",
        /// Something that only a person knows.
        Question = "question",
    }
}

words! {
    /// What became of a question.
    pub enum InputOutcome {
        /// Somebody said yes, or answered.
        Accept = "accept",
        /// Somebody said no.
        Decline = "decline",
        /// Somebody put it away, or whoever asked doesn't want to know any more.
        Cancel = "cancel",
        /// Nobody said anything in time.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_we_do_not_know_comes_back_as_it_was() {
        let read: FinishReason = serde_json::from_str(r#""insufficient_system_resource""#).unwrap();
        assert_eq!(
            read,
            FinishReason::Other("insufficient_system_resource".into())
        );
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            r#""insufficient_system_resource""#
        );
    }

    #[test]
    fn a_word_that_we_know_is_its_variant() {
        for word in ["stop", "length", "tool_calls", "content_filter"] {
            let reason = FinishReason::from(word);
            assert!(!matches!(reason, FinishReason::Other(_)), "{word}");
            assert_eq!(reason.to_string(), word);
        }
    }
}
