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
        /// The cause: that it has expired, is for other names, or is of an unknown issuer. It has no name of the
        /// receiver.
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

impl WebhookFailure {
    /// Returns the failure of an error before the response.
    pub(super) fn before_response(error: reqwest::Error) -> Self {
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
        if connect
            && let Some(source) = sources().find_map(|it| certificate_problem(&it.to_string()))
        {
            let source = source.into();
            return Self::Certificate { source };
        }
        let source = error.without_url().into();
        if connect {
            Self::Unreachable { source }
        } else {
            Self::NoResponse { source }
        }
    }
}

/// Returns what is wrong with the receiver's certificate, if an error with this text tells of it. The text itself
/// has the URL's host, and the names that the receiver sent.
fn certificate_problem(text: &str) -> Option<&'static str> {
    let (_, problem) = text.split_once("invalid peer certificate: ")?;
    // By the beginning only: names follow.
    let texts = [
        ("certificate not valid for name", WRONG_NAME),
        ("NotValidForName", WRONG_NAME),
        ("certificate expired", EXPIRED),
        ("Expired", EXPIRED),
        ("certificate not valid yet", NOT_YET_VALID),
        ("NotValidYet", NOT_YET_VALID),
        ("UnknownIssuer", UNKNOWN_ISSUER),
    ];
    let known = texts.iter().find(|(begin, _)| problem.starts_with(begin));
    Some(known.map_or(INVALID, |(_, text)| text))
}

const WRONG_NAME: &str = "it is not valid for the host of the URL";
const EXPIRED: &str = "it has expired";
const NOT_YET_VALID: &str = "it is not valid yet";
const UNKNOWN_ISSUER: &str = "its issuer is unknown; see `root_certificates`, or the receiver sends no intermediate certificate";
const INVALID: &str = "it is invalid";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;
    use tokio_rustls::rustls::{
        self, CertificateError,
        pki_types::{ServerName, UnixTime},
    };

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

    #[test]
    fn the_problem_of_a_certificate_is_told_without_names() {
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expected = ServerName::try_from("expired.example").unwrap();
        let wrong_name = CertificateError::NotValidForNameContext {
            expected,
            presented: vec!["UnknownIssuer.example".into()],
        };
        let expired = CertificateError::ExpiredContext {
            time: time(2),
            not_after: time(1),
        };
        let not_yet = CertificateError::NotValidYetContext {
            time: time(1),
            not_before: time(2),
        };
        for (problem, text) in [
            (wrong_name, WRONG_NAME),
            (CertificateError::NotValidForName, WRONG_NAME),
            (expired, EXPIRED),
            (CertificateError::Expired, EXPIRED),
            (not_yet, NOT_YET_VALID),
            (CertificateError::NotValidYet, NOT_YET_VALID),
            (CertificateError::UnknownIssuer, UNKNOWN_ISSUER),
            (CertificateError::BadSignature, INVALID),
        ] {
            let error = rustls::Error::from(problem);
            assert_eq!(
                certificate_problem(&error.to_string()),
                Some(text),
                "{error}"
            );
        }
        let other = rustls::Error::HandshakeNotComplete;
        assert_eq!(certificate_problem(&other.to_string()), None);
    }
}
