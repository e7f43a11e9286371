//! What went wrong with the server, in words that clients may hear.
//!
//! The server's own words never come out: they may hold keys, names of deployments, or other
//! people's data. Its short code is kept for traces.

use std::{fmt, time::Duration};

use reqwest::StatusCode;
use serde_json::Value;

use crate::{
    BoxError,
    chat::{ErrorCode, ProviderError},
};

/// No connection, or it broke before the response.
pub(super) fn unreachable(error: reqwest::Error) -> ProviderError {
    let timeout = error.is_timeout();
    let error = ProviderError::new("the model's server can't be reached; try again later")
        .recoverable(true)
        .with_source(error.without_url());
    if timeout {
        error.with_code(ErrorCode::Timeout)
    } else {
        error
    }
}

/// Nothing came for too long.
pub(super) fn silent() -> ProviderError {
    ProviderError::new("the model has been silent for too long; try again")
        .with_code(ErrorCode::Timeout)
        .recoverable(true)
}

/// Something came that is no chunk of an answer.
pub(super) fn garbled(source: impl Into<BoxError>) -> ProviderError {
    ProviderError::new("the model's server sent something that can't be understood; try again")
        .recoverable(true)
        .with_source(source)
}

/// Something came that is too long.
pub(super) fn too_long() -> ProviderError {
    ProviderError::new("the model's server sent more at once than is allowed")
        .with_code(ErrorCode::Limit)
}

/// The server said no: by a status, by an error inside the stream, or both.
pub(super) fn refused(
    status: Option<StatusCode>,
    code: Option<Code>,
    retry_after: Option<Duration>,
) -> ProviderError {
    let status = status.or_else(|| code.as_ref()?.as_status());
    let (message, recoverable) = by_code(code.as_ref())
        .or_else(|| by_status(status?))
        .unwrap_or(("the model's server reported an error; try again", true));
    let message = match retry_after.filter(|_| recoverable) {
        Some(wait) => format!("{message}, in {} s", wait.as_secs()),
        None => message.to_owned(),
    };
    let mut error = ProviderError::new(message)
        .recoverable(recoverable)
        .with_source(Refused { status, code });
    if status == Some(StatusCode::REQUEST_TIMEOUT) || status == Some(StatusCode::GATEWAY_TIMEOUT) {
        error = error.with_code(ErrorCode::Timeout);
    }
    match retry_after {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

fn by_code(code: Option<&Code>) -> Option<(&'static str, bool)> {
    Some(match code?.0.as_str() {
        "context_length_exceeded" => ("the conversation is too long for this model", false),
        "insufficient_quota" => ("the quota for the model is used up", false),
        "rate_limit_exceeded" => ("the model is asked too much; try again", true),
        "model_not_found" => ("the model's server doesn't have this model", false),
        "content_filter" | "content_policy_violation" => {
            ("the model's server refuses to answer this", false)
        }
        "invalid_api_key" | "authentication_error" => (
            "the model's server refused this server's credentials",
            false,
        ),
        _ => return None,
    })
}

fn by_status(status: StatusCode) -> Option<(&'static str, bool)> {
    Some(match status.as_u16() {
        401 | 403 => (
            "the model's server refused this server's credentials",
            false,
        ),
        402 => ("the quota for the model is used up", false),
        404 => ("the model's server doesn't have this model", false),
        408 | 504 => ("the model has been silent for too long; try again", true),
        413 => ("the conversation is too long for this model", false),
        429 => ("the model is asked too much; try again", true),
        300..=499 => ("the model's server refused the request", false),
        500..=599 => ("the model's server has failed; try again", true),
        _ => return None,
    })
}

/// The server's short word for an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Code(String);

impl Code {
    // Only what looks like a code is one: a sentence may quote the key.
    fn new(word: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let fits = (1..=40).contains(&word.len()) && word.bytes().all(plain);
        fits.then(|| Self(word.to_owned()))
    }

    fn as_status(&self) -> Option<StatusCode> {
        StatusCode::from_bytes(self.0.as_bytes()).ok()
    }
}

/// The code in the body of an error response.
pub(super) fn code_of_body(body: &[u8]) -> Option<Code> {
    let body: Value = serde_json::from_slice(body).ok()?;
    code_of_error(body.get("error").unwrap_or(&body))
}

/// The code in an error object.
pub(super) fn code_of_error(error: &Value) -> Option<Code> {
    [error.get("code"), error.get("type")]
        .into_iter()
        .flatten()
        .find_map(|value| match value {
            Value::String(word) => Code::new(word),
            Value::Number(number) => Code::new(&number.to_string()),
            _ => None,
        })
}

#[derive(Debug)]
struct Refused {
    status: Option<StatusCode>,
    code: Option<Code>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server answered with")?;
        if let Some(status) = self.status {
            write!(f, " status {}", status.as_u16())?;
        }
        match &self.code {
            Some(Code(code)) => write!(f, " code {code}"),
            None => f.write_str(" no code"),
        }
    }
}

impl std::error::Error for Refused {}
