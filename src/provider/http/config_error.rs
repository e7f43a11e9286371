use std::fmt;

use crate::BoxError;

/// The error of a provider that can't be built.
///
/// `Debug` writes the text of `Display` with the cause, which is what a `main` that returns the
/// error shows.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No model is named.
    #[error("no model is named; set {variable}, or call `model` on the builder")]
    NoModel {
        /// The environment variable that `from_env` reads.
        variable: &'static str,
    },
    /// The server at this address needs a key.
    #[error("the server wants a key; set {variable}, or the base URL to another server")]
    NoKey {
        /// The environment variable that `from_env` reads.
        variable: &'static str,
    },
    /// The base URL is not an address.
    #[error("the base URL is not an http or https address without query; it looks like {example}")]
    BaseUrl {
        /// A valid example.
        example: &'static str,
    },
    /// The key contains characters that a header can't hold.
    #[error("the key holds characters that a header can't; was it copied with a line break?")]
    Key,
    /// An environment variable is not valid UTF-8.
    #[error("the environment variable {name} is not valid UTF-8")]
    NotUnicode {
        /// The name of the variable.
        name: &'static str,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client {
        /// The cause.
        source: BoxError,
    },
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client { source } => write!(f, "{self}: {source}"),
            _ => fmt::Display::fmt(self, f),
        }
    }
}
