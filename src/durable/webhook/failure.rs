use std::error::Error;

use super::resolver::LookupError;
use crate::BoxError;

/// The error of a delivery that a [`Webhook`](super::Webhook) could not make.
///
/// It repeats neither the URL nor what the receiver sent, but for the status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookFailure {
    /// The receiver answered with a status that isn't 2xx.
    #[error(
        "the webhook's receiver answered with status {status}; only 2xx says that it has the ending"
    )]
    Status {
        /// The status.
        status: u16,
    },
    /// The receiver answered with a redirect, which isn't followed.
    #[error(
        "the webhook's receiver answered with status {status}, a redirect, which is not followed; set the URL to its \
         target"
    )]
    Redirect {
        /// The status.
        status: u16,
    },
    /// The receiver's host has no address that may be called.
    #[error(
        "the webhook's host has no address of the public internet; see `allow_private_addresses`"
    )]
    PrivateAddress,
    /// The receiver's host has no address.
    #[error("the webhook's host can't be resolved")]
    UnknownHost {
        /// The cause.
        source: BoxError,
    },
    /// The receiver's certificate isn't trusted.
    #[error("the certificate of the webhook's receiver isn't trusted here")]
    Certificate {
        /// The cause.
        source: BoxError,
    },
    /// The time of an attempt was over.
    #[error("the webhook's receiver did not answer in time")]
    Timeout,
    /// No connection could be made.
    #[error("the webhook's receiver can't be reached")]
    Unreachable {
        /// The cause.
        source: BoxError,
    },
    /// The ending can't be written as JSON.
    #[error("the ending can't be written as JSON")]
    Unwritable {
        /// The cause.
        source: BoxError,
    },
    /// The connection ended before a response, or what came was none.
    #[error("the webhook's receiver ended the connection without a response")]
    NoResponse {
        /// The cause.
        source: BoxError,
    },
}

impl WebhookFailure {
    /// Returns the failure that a response with this status is, if it is one.
    pub(super) fn of_status(status: http::StatusCode) -> Option<Self> {
        if status.is_success() {
            return None;
        }
        let (redirect, status) = (status.is_redirection(), status.as_u16());
        Some(if redirect {
            Self::Redirect { status }
        } else {
            Self::Status { status }
        })
    }
}

/// An error before the response.
impl From<reqwest::Error> for WebhookFailure {
    fn from(error: reqwest::Error) -> Self {
        let sources = || std::iter::successors(error.source(), |error| (*error).source());
        if let Some(lookup) = sources().find_map(|it| it.downcast_ref::<LookupError>()) {
            match lookup {
                LookupError::NotPublic => return Self::PrivateAddress,
                LookupError::Unknown(_) => {
                    let source = error.without_url().into();
                    return Self::UnknownHost { source };
                }
            }
        }
        if error.is_timeout() {
            return Self::Timeout;
        }
        let connect = error.is_connect();
        // The types differ between the libraries for TLS; the word is the same.
        let certificate = connect && sources().any(|it| it.to_string().contains("certificate"));
        let source = error.without_url().into();
        if certificate {
            Self::Certificate { source }
        } else if connect {
            Self::Unreachable { source }
        } else {
            Self::NoResponse { source }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn only_2xx_is_a_success() {
        for status in (200..1000).filter_map(|it| StatusCode::from_u16(it).ok()) {
            let number = status.as_u16();
            let failure = WebhookFailure::of_status(status);
            match number {
                200..300 => assert!(failure.is_none(), "{number}"),
                300..400 => assert!(
                    matches!(failure, Some(WebhookFailure::Redirect { status }) if status == number),
                    "{number}"
                ),
                _ => assert!(
                    matches!(failure, Some(WebhookFailure::Status { status }) if status == number),
                    "{number}"
                ),
            }
        }
    }
}
