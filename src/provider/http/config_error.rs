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
    /// An environment variable is needed and not set.
    #[error("{variable} is not set; set it, or {instead}")]
    Unset {
        /// The name of the variable.
        variable: &'static str,
        /// The other way, as an order.
        instead: &'static str,
    },
    /// The base URL is not an address.
    #[error(
        "the base URL is not an http or https address without fragment; it looks like {example}"
    )]
    BaseUrl {
        /// A valid example.
        example: &'static str,
    },
    /// The base URL contains the path that the provider adds to it.
    #[error("the base URL ends with {path}, which is added to it; leave that out")]
    WholeUrl {
        /// The path.
        path: String,
    },
    /// The key contains characters that a header can't hold.
    #[error("the key holds characters that a header can't; was it copied with a line break?")]
    Key,
    /// The name of a header is malformed.
    #[error(
        "the name of a header has characters that HTTP doesn't allow; use letters, digits and `-`"
    )]
    HeaderName,
    /// The value of a header contains characters that a header can't hold.
    #[error(
        "the value of the header {name} holds characters that a header can't; was it copied with a \
         line break?"
    )]
    HeaderValue {
        /// The name of the header.
        name: String,
    },
    /// A header describes the body, which the provider writes itself.
    #[error("the header {name} is up to the provider; leave it out")]
    ReservedHeader {
        /// The name.
        name: String,
    },
    /// An environment variable that holds headers has a line that is none.
    #[error("{variable} has a line that is no header; write each as `Name: value`")]
    HeaderLines {
        /// The name of the variable.
        variable: &'static str,
    },
    /// A field of the body, to which the provider adds its own part, has a value of another form.
    #[error(
        "the field {name} is no {form}, to which the provider could add its own; set it to one, or leave it out"
    )]
    FieldForm {
        /// The name of the field.
        name: &'static str,
        /// The form that it must have: `list` or `object`.
        form: &'static str,
    },
    /// An environment variable is not valid UTF-8.
    #[error("the environment variable {name} is not valid UTF-8; set it anew, or unset it")]
    NotUnicode {
        /// The name of the variable.
        name: &'static str,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up; pass one of your own to `http_client`")]
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
