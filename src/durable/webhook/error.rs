use std::fmt;

use crate::BoxError;

/// The error of a [`Webhook`](super::Webhook) that can't be built.
///
/// It repeats neither the URL nor a secret. `Debug` writes the text of `Display` with the cause, which is what a
/// `main` that returns the error shows.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The URL is not an absolute address with a host.
    #[error("the webhook's URL is no https address; it looks like https://example.com/hook")]
    Url,
    /// The URL is not of `https`.
    #[error(
        "the webhook's URL is not of https; anybody on the way could read what is sent. Use https, or call \
         `allow_http` for a receiver in your own network"
    )]
    NotHttps,
    /// The URL has a user name or a password.
    #[error(
        "the webhook's URL has a user name or a password; leave them out, the signature is what the receiver checks"
    )]
    UserInfo,
    /// The host of the URL is an address that isn't of the public internet.
    #[error(
        "the webhook's URL leads to an address that is not of the public internet; call `allow_private_addresses` if \
         the receiver is your own and no user chose the URL"
    )]
    PrivateAddress,
    /// The secret is not of the form that the specification demands.
    #[error(
        "the webhook's secret is not `whsec_` and base64 with its padding; `openssl rand -base64 32` makes the base64"
    )]
    Secret,
    /// The secret is too short or too long.
    #[error(
        "the webhook's secret has {bytes} bytes, and must have 24 to 64; `openssl rand -base64 32` makes the base64 \
         that follows `whsec_`"
    )]
    SecretLength {
        /// The number of its bytes, decoded.
        bytes: usize,
    },
    /// The root certificates are not PEM, or there are none.
    #[error("the root certificates hold no certificate in PEM; pass the text of the file")]
    RootCertificates,
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up")]
    Client {
        /// The cause.
        source: BoxError,
    },
}

impl fmt::Debug for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client { source } => write!(f, "{self}: {source}"),
            _ => fmt::Display::fmt(self, f),
        }
    }
}
