use std::time::Duration;

use reqwest::StatusCode;

use crate::{
    chat::{ErrorEvent, ProviderError},
    log::ErrorCode,
    provider::http::refused_as,
};

/// Creates the error of a refusal. The other server's own words are dropped.
pub(super) fn refused(status: StatusCode, retry_after: Option<Duration>) -> ProviderError {
    let (message, recoverable) = match status.as_u16() {
        401 | 403 => (
            "the model's server refused this server's credentials",
            false,
        ),
        404 | 405 => (
            "there is no server of answers at the model's address",
            false,
        ),
        408 | 504 => ("the model's server was too slow; try again", true),
        409 => (
            "the model's server has another request under the same id or of the same conversation, or has this one's outputs",
            false,
        ),
        410 => (
            "the answer was deleted at the model's server; try again",
            true,
        ),
        413 => ("the conversation is too long for the model's server", false),
        422 => (
            "the request has something that the model's server doesn't open to this server",
            false,
        ),
        429 => ("the model's server is asked too much; try again", true),
        503 => ("the model's server isn't ready; try again", true),
        500..=599 => ("the model's server has failed; try again", true),
        _ => ("the model's server refused the request", false),
    };
    let error = refused_as(status, message, recoverable, retry_after);
    match status.as_u16() {
        408 | 504 => error.with_code(ErrorCode::Timeout),
        _ => error,
    }
}

/// Creates the error of an answer that ended with one at the other server. Its own words are dropped.
pub(super) fn failed(end: &ErrorEvent) -> ProviderError {
    let (message, code) = match end.code {
        ErrorCode::Provider if end.recoverable => (
            "the model's server reported an error; try again",
            ErrorCode::Provider,
        ),
        ErrorCode::Provider => ("the model's server can't answer this", ErrorCode::Provider),
        ErrorCode::Timeout => (
            "the model has been silent for too long; try again",
            ErrorCode::Timeout,
        ),
        ErrorCode::Interrupted => (
            "the model's server stopped before the answer was done; try again",
            ErrorCode::Interrupted,
        ),
        ErrorCode::Limit => (
            "the answer reached a limit of the model's server",
            ErrorCode::Limit,
        ),
        // A bug there is none here.
        ErrorCode::Internal => ("the model's server has failed", ErrorCode::Provider),
    };
    ProviderError::new(message)
        .recoverable(end.recoverable)
        .with_code(code)
        .with_source(InnerFailure(end.code))
}

/// The failure of an answer at the other server.
#[derive(Debug, thiserror::Error)]
#[error("the answer there ended with an error of the code `{0}`")]
struct InnerFailure(ErrorCode);
