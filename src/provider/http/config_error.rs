use std::fmt;

use crate::BoxError;

/// Why a provider could not be built.
///
/// Its `Debug` is its `Display`, with the cause: that is what a `main` that returns it shows.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No model was named.
    #[error("no model is named; set {variable}, or call `model` on the builder")]
    NoModel {
        /// The environment variable that `from_env` reads.
        variable: &'static str,
    },
    /// The server of this address wants a key, and none was given.
    #[error("the server wants a key; set {variable}, or the base URL to another server")]
    NoKey {
        /// The environment variable that `from_env` reads.
        variable: &'static str,
    },
    /// The base URL is not an address.
    #[error("the base URL is not an http or https address without query; it looks like {example}")]
    BaseUrl {
        /// One that would do.
        example: &'static str,
    },
    /// The key holds what a header can't.
    #[error("the key holds characters that a header can't; was it copied with a line break?")]
    Key,
    /// An environment variable is not text.
    #[error("the environment variable {name} is not valid UTF-8")]
    NotUnicode {
        /// Which.
        name: &'static str,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client {
        /// What it said.
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
