//! Errors of the server, with messages for clients.
//!
//! The server's own texts are dropped: they may hold keys, names of deployments, or other people's
//! data. Its short code is kept for traces.

use std::{error::Error, fmt, time::Duration};

use reqwest::StatusCode;
use serde_json::error::Category;

use super::error_name::ErrorName;
use crate::{chat::ProviderError, log::ErrorCode};

/// Creates the error of a connection that failed or broke before the response.
pub(super) fn unreachable(error: reqwest::Error) -> ProviderError {
    let timeout = error.is_timeout();
    if error.is_connect() && is_about_a_certificate(&error) {
        return ProviderError::new("the certificate of the model's server isn't trusted here")
            .with_source(error.without_url());
    }
    let error = ProviderError::new("the model's server can't be reached; try again later")
        .recoverable(true)
        .with_source(error.without_url());
    if timeout {
        error.with_code(ErrorCode::Timeout)
    } else {
        error
    }
}

/// Returns true if a certificate is the reason of an error, which it is of each try. The types differ
/// between the libraries for TLS; the word is the same.
fn is_about_a_certificate(error: &reqwest::Error) -> bool {
    let sources = std::iter::successors(error.source(), |error| (*error).source());
    sources
        .map(ToString::to_string)
        .any(|it| it.contains("certificate"))
}

/// Creates the error of a server that was silent for too long.
pub(super) fn timed_out() -> ProviderError {
    ProviderError::new("the model has been silent for too long; try again")
        .with_code(ErrorCode::Timeout)
        .recoverable(true)
}

/// Creates the error of data that is no part of an answer.
// serde's own error quotes the data, which may be private.
#[allow(clippy::needless_pass_by_value)] // for `map_err`
pub(crate) fn unreadable(error: serde_json::Error) -> ProviderError {
    ProviderError::new("the model's server sent something that can't be understood; try again")
        .recoverable(true)
        .with_source(UnreadableAnswer {
            category: error.classify(),
            column: error.column(),
        })
}

/// Creates the error of data that is longer than `max` bytes.
pub(crate) fn too_long(max: usize) -> ProviderError {
    let message =
        format!("the model's server sent more than {max} bytes at once, which is the limit");
    ProviderError::new(message).with_code(ErrorCode::Limit)
}

/// Creates the error of a turn with more than `max` calls.
pub(crate) fn too_many(max: usize) -> ProviderError {
    let message = format!("the model asked for more than {max} tools at once, which is the limit");
    ProviderError::new(message).with_code(ErrorCode::Limit)
}

/// Something that a server sent in place of a stream. No answer is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InPlaceOfStream {
    #[error("a web page")]
    Html,
    #[error("compressed data")]
    Compressed,
    #[error("JSON")]
    Json,
    #[error("plain text")]
    Text,
    #[error("nothing")]
    Nothing,
    #[error("data of another type")]
    Other,
}

/// Creates the error of a success whose body is no answer.
pub(super) fn no_stream(found: InPlaceOfStream) -> ProviderError {
    let message = match found {
        InPlaceOfStream::Html => {
            "the model's server sent a web page (HTML) and no answer; its address may be wrong"
        }
        InPlaceOfStream::Compressed => {
            "the model's server sent compressed data (such as gzip), which wasn't asked for"
        }
        InPlaceOfStream::Json => "the model's server sent JSON that is no answer",
        InPlaceOfStream::Text => "the model's server sent plain text that is no answer",
        InPlaceOfStream::Nothing => "the model's server sent nothing",
        InPlaceOfStream::Other => "the model's server sent data that is no answer",
    };
    ProviderError::new(message).with_source(found)
}

/// Creates the error of a refusal: by a status, by an error inside the stream, or both.
pub(crate) fn refused(
    status: Option<StatusCode>,
    code: Option<ErrorName>,
    retry_after: Option<Duration>,
) -> ProviderError {
    let status = status.or_else(|| code.as_ref()?.status());
    let (message, recoverable) = code
        .as_ref()
        .and_then(|code| by_word(code.word()?))
        .or_else(|| by_status(status?))
        .unwrap_or(("the model's server reported an error; try again", true));
    let message = with_wait(message, retry_after.filter(|_| recoverable));
    let mut error = ProviderError::new(message)
        .recoverable(recoverable)
        .with_source(ServerRefusal { status, code });
    if status == Some(StatusCode::REQUEST_TIMEOUT) || status == Some(StatusCode::GATEWAY_TIMEOUT) {
        error = error.with_code(ErrorCode::Timeout);
    }
    match retry_after {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// Creates the error of a refusal by a status whose meaning the caller knows. The message has the wait.
#[cfg(feature = "unbroken-upstream")]
pub(crate) fn refused_as(
    status: StatusCode,
    message: &str,
    recoverable: bool,
    retry_after: Option<Duration>,
) -> ProviderError {
    let message = with_wait(message, retry_after.filter(|_| recoverable));
    let error = ProviderError::new(message)
        .recoverable(recoverable)
        .with_source(ServerRefusal {
            status: Some(status),
            code: None,
        });
    match retry_after {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// Adds the wait to a message: an earlier try would be refused again.
fn with_wait(message: &str, wait: Option<Duration>) -> String {
    match wait {
        Some(wait) => format!("{message}, in {} s", wait.as_millis().div_ceil(1000)),
        None => message.to_owned(),
    }
}

/// Returns true if a refusal inside a stream is about the request, as a status of 4xx is.
pub(super) fn is_about_the_request(error: &ProviderError) -> bool {
    let Some(refusal) = server_refusal(error) else {
        return false;
    };
    let known = |code: &ErrorName| code.word().is_some_and(is_known);
    refusal
        .status
        .is_some_and(|status| status.is_client_error())
        || refusal.code.as_ref().is_some_and(known)
}

/// Returns true if neither the server, a limit nor the connection explains the error.
pub(super) fn is_vague(error: &ProviderError) -> bool {
    let explained = |source: &(dyn Error + 'static)| {
        source.is::<ServerRefusal>() || source.is::<reqwest::Error>()
    };
    error.code() == ErrorCode::Provider && !error.source().is_some_and(explained)
}

/// Returns the status of a refusal; `None` for one inside a stream without a status, and for other errors.
#[cfg(any(feature = "openai-responses-upstream", feature = "unbroken-upstream"))]
pub(crate) fn refusal_status(error: &ProviderError) -> Option<u16> {
    Some(server_refusal(error)?.status?.as_u16())
}

/// Returns true if an error says nothing of the answer: the connection was lost, or what came over it was
/// damaged.
#[cfg(any(feature = "openai-responses-upstream", feature = "unbroken-upstream"))]
pub(crate) fn is_of_the_connection(error: &ProviderError) -> bool {
    error.is_recoverable()
        && matches!(error.code(), ErrorCode::Provider | ErrorCode::Timeout)
        && server_refusal(error).is_none()
}

/// Returns true if a server may work on a request that failed so, as far as can be known: the request was sent, and no
/// answer of the server came.
#[cfg(any(feature = "openai-responses-upstream", feature = "unbroken-upstream"))]
pub(crate) fn may_have_begun(error: &ProviderError) -> bool {
    let of_connect = |error: &reqwest::Error| error.is_connect() || error.is_builder();
    let source = error.source().and_then(|source| source.downcast_ref());
    match refusal_status(error) {
        // A gateway that lost the server's answer.
        Some(status) => matches!(status, 408 | 502 | 504),
        None => server_refusal(error).is_none() && !source.is_some_and(of_connect),
    }
}

fn server_refusal(error: &ProviderError) -> Option<&ServerRefusal> {
    error.source()?.downcast_ref()
}

fn by_word(word: &str) -> Option<(&'static str, bool)> {
    Some(match word {
        "context_length_exceeded" | "exceed_context_size_error" => {
            ("the conversation is too long for this model", false)
        }
        "insufficient_quota" => ("the quota for the model is used up", false),
        "rate_limit_exceeded" => ("the model is asked too much; try again", true),
        "model_not_found" => ("the model's server doesn't have this model", false),
        "content_filter"
        | "content_policy_violation"
        | "image_content_policy_violation"
        | "bio_policy"
        | "misalignment_policy_violation" => ("the model's server refuses to answer this", false),
        "invalid_prompt"
        | "data_residency_mismatch"
        | "invalid_image"
        | "invalid_image_format"
        | "invalid_base64_image"
        | "invalid_image_url"
        | "invalid_image_mode"
        | "image_too_large"
        | "image_too_small"
        | "image_parse_error"
        | "image_file_too_large"
        | "unsupported_image_media_type"
        | "empty_image_file"
        | "failed_to_download_image"
        | "image_file_not_found" => ("the model's server refused the request", false),
        "no_tools" => ("this model can't call tools", false),
        "no_thinking" => ("this model can't be asked to think", false),
        "invalid_api_key" | "authentication_error" => (
            "the model's server refused this server's credentials",
            false,
        ),
        _ => return None,
    })
}

/// Returns true if a word has a meaning of its own, whatever the status.
pub(super) fn is_known(word: &str) -> bool {
    by_word(word).is_some()
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

#[derive(Debug, thiserror::Error)]
#[error("not the JSON that is expected, at column {column}: {category:?}")]
struct UnreadableAnswer {
    category: Category,
    column: usize,
}

#[derive(Debug)]
struct ServerRefusal {
    status: Option<StatusCode>,
    code: Option<ErrorName>,
}

impl fmt::Display for ServerRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server answered with")?;
        if let Some(status) = self.status {
            write!(f, " status {}", status.as_u16())?;
        }
        match self.code.as_ref().and_then(ErrorName::word) {
            Some(word) => write!(f, " code {word}"),
            None => f.write_str(" no code"),
        }
    }
}

impl Error for ServerRefusal {}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json, value::to_raw_value};

    use super::{super::error_name::code_of_error, *};

    fn of(error: &Value) -> ProviderError {
        refused(None, code_of_error(&to_raw_value(error).unwrap()), None)
    }

    #[test]
    fn the_wait_in_the_message_is_rounded_up() {
        for (millis, said) in [(300, "in 1 s"), (1000, "in 1 s"), (1001, "in 2 s")] {
            let wait = Duration::from_millis(millis);
            let error = refused(Some(StatusCode::TOO_MANY_REQUESTS), None, Some(wait));
            assert!(error.to_string().ends_with(said), "{millis}: {error}");
        }
    }

    #[test]
    fn errors_of_many_servers_are_recognised_by_their_codes() {
        for (error, message, recoverable) in [
            (
                json!({"message": "M", "type": "invalid_request_error", "code": "context_length_exceeded"}),
                "the conversation is too long",
                false,
            ),
            (
                json!({"code": 400, "message": "M", "type": "exceed_context_size_error", "n_ctx": 512}),
                "the conversation is too long",
                false,
            ),
            (
                json!({"object": "error", "message": "M", "type": "NotFoundError", "code": 404}),
                "doesn't have this model",
                false,
            ),
            (
                json!({"code": 503, "message": "Loading model", "type": "unavailable_error"}),
                "has failed; try again",
                true,
            ),
            (
                json!({"message": "M", "type": "server_error", "code": "429"}),
                "asked too much",
                true,
            ),
            (
                json!("model \"m\" not found, try pulling it first"),
                "doesn't have this model",
                false,
            ),
            (json!("m does not support tools"), "can't call tools", false),
            (
                json!("an error was encountered while running the model"),
                "reported an error",
                true,
            ),
            (
                json!({"message": "M", "type": "BadRequestError", "code": null}),
                "refused the request",
                false,
            ),
            (
                json!({"type": "rate_limit_error", "message": "M"}),
                "asked too much",
                true,
            ),
            (
                json!({"type": "overloaded_error", "message": "M"}),
                "has failed; try again",
                true,
            ),
            (json!({"type": "permission_error"}), "credentials", false),
            (
                json!({"status": "RESOURCE_EXHAUSTED"}),
                "asked too much",
                true,
            ),
            (json!("rate_limit_exceeded"), "asked too much", true),
            (
                json!({"code": null, "type": ["x"]}),
                "reported an error",
                true,
            ),
        ] {
            let found = of(&error);
            assert!(found.message().contains(message), "{error}: {found}");
            assert_eq!(found.is_recoverable(), recoverable, "{error}");
        }
    }

    #[test]
    fn only_short_lower_case_codes_are_kept() {
        for secret in ["sk-123", "Not a code", &"x".repeat(41)] {
            let found = of(&json!({"code": secret, "type": secret, "message": secret}));
            assert!(!format!("{found:?}").contains(secret), "{found:?}");
        }
    }
}
