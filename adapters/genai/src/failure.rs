//! Errors, with messages for clients.
//!
//! genai's own errors hold bodies of responses and whole requests, so neither their texts nor they themselves are
//! kept. The server's short code is kept for traces.

use std::time::Duration;

use genai::{Error, webc::StreamTimeout};
use serde_json::Value;
use unbroken::{chat::ProviderError, log::ErrorCode};

/// Translates an error of genai.
pub(crate) fn of(error: Error) -> ProviderError {
    match error {
        Error::WebStream { error, .. } => {
            if error.is::<StreamTimeout>() {
                return timed_out();
            }
            match error.downcast::<Error>() {
                Ok(error) => of(*error),
                Err(error) => match error.downcast::<reqwest::Error>() {
                    Ok(error) => broken(*error),
                    Err(_) => unreadable("text that isn't UTF-8"),
                },
            }
        }
        Error::HttpError {
            status,
            body,
            headers,
            ..
        } => {
            let name = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
            refused(Some(status.as_u16()), &body, wait(name))
        }
        Error::ChatResponse { body, .. } => reported(&body.to_string()),
        Error::StreamParse { .. } | Error::JsonValueExt(_) | Error::SerdeJson(_) => {
            unreadable("data of another form than genai knows")
        }
        Error::RequiresApiKey { .. }
        | Error::NoAuthResolver { .. }
        | Error::NoAuthData { .. }
        | Error::Resolver { .. } => ProviderError::new("this server has no key for the model")
            .with_source(ModelFailure::Unresolved),
        Error::AdapterNotSupported { .. } => {
            ProviderError::new("the crate that speaks to the model can't make this request")
                .with_source(ModelFailure::Unsupported)
        }
        Error::WebModelCall {
            webc_error: genai::webc::Error::Reqwest(error),
            ..
        } => broken(error),
        _ => unsendable(),
    }
}

/// Returns true if the error is about one frame, and not about the connection.
pub(crate) fn is_of_a_frame(error: &Error) -> bool {
    matches!(
        error,
        Error::ChatResponse { .. }
            | Error::StreamParse { .. }
            | Error::JsonValueExt(_)
            | Error::SerdeJson(_)
    )
}

/// Creates the error of an error that stands in the stream.
pub(crate) fn reported(body: &str) -> ProviderError {
    refused(None, body, None)
}

/// Creates the error of a prompt that the server blocked, with the server's word for the reason.
pub(crate) fn blocked(word: &str) -> ProviderError {
    ProviderError::new("the model's server refuses to answer this").with_source(
        ModelFailure::Refused {
            status: None,
            word: plain(word),
        },
    )
}

/// Creates the error of data that is no part of an answer.
pub(crate) fn unreadable(what: &'static str) -> ProviderError {
    ProviderError::new("the model's server sent something that can't be understood; try again")
        .recoverable(true)
        .with_source(ModelFailure::Unreadable { what })
}

/// Creates the error of a part of an answer that there is no event for.
pub(crate) fn unknown_part(kind: &str) -> ProviderError {
    let kind = plain(kind).unwrap_or_else(|| "?".to_owned());
    let message =
        format!("the model's answer has a part of the kind `{kind}`, which isn't supported");
    ProviderError::new(message)
}

/// Creates the error of a part of an answer that has no form for clients.
pub(crate) fn not_passed_on(what: &str, why: &str) -> ProviderError {
    ProviderError::new(format!(
        "the model made {what}, which can't be passed on: {why}"
    ))
}

/// Creates the error of a response that holds no event of a stream.
pub(crate) fn no_stream() -> ProviderError {
    ProviderError::new("the model's server sent no stream of events; try again")
        .recoverable(true)
        .with_source(ModelFailure::Unreadable {
            what: "no event with data",
        })
}

/// Creates the error of a field that the model's server wants back in the next request, for which genai has no
/// form: the server would refuse that request.
pub(crate) fn not_handed_back(field: &str) -> ProviderError {
    let message = format!(
        "the model's server wants `{field}` back, which can't be sent here; the provider `OpenAi` of \
         `unbroken` sends it"
    );
    ProviderError::new(message)
}

fn timed_out() -> ProviderError {
    ProviderError::new("the model has been silent for too long; try again")
        .with_code(ErrorCode::Timeout)
        .recoverable(true)
}

fn unsendable() -> ProviderError {
    ProviderError::new("the crate that speaks to the model refused the request")
        .with_source(ModelFailure::Unsupported)
}

fn broken(error: reqwest::Error) -> ProviderError {
    if error.is_timeout() {
        return timed_out();
    }
    if error.is_body() || error.is_decode() {
        return ProviderError::cut().with_source(error.without_url());
    }
    if error.is_builder() {
        return unsendable();
    }
    ProviderError::new("the model's server can't be reached; try again later")
        .recoverable(true)
        .with_source(error.without_url())
}

fn refused(status: Option<u16>, body: &str, wait: Option<Duration>) -> ProviderError {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    // Gemini sends a list of one.
    let body = body.get(0).unwrap_or(&body);
    let error = body.get("error").filter(|it| !it.is_null()).unwrap_or(body);
    let error = error.get("error").unwrap_or(error);
    let words: Vec<String> = ["code", "type", "status"]
        .into_iter()
        .filter_map(|name| plain(error.get(name)?.as_str()?))
        .chain(reasons(error))
        .collect();
    let number = error.get("code").and_then(Value::as_u64);
    let status = status.or_else(|| u16::try_from(number?).ok());
    let said = error.get("message").and_then(Value::as_str);
    let by_word = || words.iter().find_map(|word| by_word(word));
    let is_about_size = matches!(status, None | Some(400 | 413 | 422));
    let (message, recoverable) = said
        .filter(|_| is_about_size)
        .and_then(by_sentence)
        .or_else(by_word)
        .or_else(|| by_status(status?))
        .or_else(|| words.iter().find_map(|word| by_kind(word)))
        .unwrap_or(("the model's server reported an error; try again", true));
    let wait = wait.or_else(|| retry_delay(error)).filter(|_| recoverable);
    let message = match wait {
        // An earlier try would be refused again.
        Some(wait) => format!("{message}, in {} s", wait.as_millis().div_ceil(1000)),
        None => message.to_owned(),
    };
    let mut failure = ProviderError::new(message)
        .recoverable(recoverable)
        .with_source(ModelFailure::Refused {
            status,
            word: words.into_iter().next(),
        });
    if matches!(status, Some(408 | 504)) {
        failure = failure.with_code(ErrorCode::Timeout);
    }
    match wait {
        Some(wait) => failure.with_retry_after(wait),
        None => failure,
    }
}

fn by_word(word: &str) -> Option<(&'static str, bool)> {
    Some(match word {
        "context_length_exceeded" | "exceed_context_size_error" | "request_too_large" => {
            ("the conversation is too long for this model", false)
        }
        "insufficient_quota" | "billing_error" => ("the quota for the model is used up", false),
        "rate_limit_exceeded" | "rate_limit_error" | "resource_exhausted" => {
            ("the model is asked too much; try again", true)
        }
        "overloaded_error" | "unavailable" => ("the model is overloaded; try again", true),
        "api_error" | "internal" | "server_error" => {
            ("the model's server has failed; try again", true)
        }
        "timeout_error" | "deadline_exceeded" => {
            ("the model has been silent for too long; try again", true)
        }
        "model_not_found" | "not_found_error" | "not_found" => {
            ("the model's server doesn't have this model", false)
        }
        "content_filter" | "content_policy_violation" => {
            ("the model's server refuses to answer this", false)
        }
        "invalid_api_key"
        | "authentication_error"
        | "permission_error"
        | "unauthenticated"
        | "permission_denied"
        | "api_key_invalid" => (
            "the model's server refused this server's credentials",
            false,
        ),
        _ => return None,
    })
}

// Of errors in a stream, which have no status: the same request would fail again.
fn by_kind(word: &str) -> Option<(&'static str, bool)> {
    let is_final = ["invalid_", "image_", "unsupported_", "empty_image_"]
        .iter()
        .any(|kind| word.starts_with(kind));
    is_final.then_some(("the model's server refused the request", false))
}

// Claude and Gemini have no code for it.
fn by_sentence(said: &str) -> Option<(&'static str, bool)> {
    let is_long = [
        "prompt is too long",
        "exceed context limit",
        "input token count",
        "exceeds the maximum number of tokens",
        "maximum context length",
    ];
    let said = said.to_ascii_lowercase();
    is_long
        .iter()
        .any(|part| said.contains(part))
        .then_some(("the conversation is too long for this model", false))
}

fn by_status(status: u16) -> Option<(&'static str, bool)> {
    Some(match status {
        401 | 403 => (
            "the model's server refused this server's credentials",
            false,
        ),
        402 => ("the quota for the model is used up", false),
        404 => ("the model's server doesn't have this model", false),
        408 | 504 => ("the model has been silent for too long; try again", true),
        413 => ("the conversation is too long for this model", false),
        429 => ("the model is asked too much; try again", true),
        529 => ("the model is overloaded; try again", true),
        300..=499 => ("the model's server refused the request", false),
        500..=599 => ("the model's server has failed; try again", true),
        _ => return None,
    })
}

// The reasons in the details of Google's errors.
fn reasons(error: &Value) -> impl Iterator<Item = String> {
    let details = error.get("details").and_then(Value::as_array);
    let details = details.into_iter().flatten();
    details.filter_map(|detail| plain(detail.get("reason")?.as_str()?))
}

// Google's form of `Retry-After`.
fn retry_delay(error: &Value) -> Option<Duration> {
    let details = error.get("details")?.as_array()?;
    let delay = details
        .iter()
        .find_map(|it| it.get("retryDelay")?.as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

// The form with a date is ignored: it needs two clocks that agree.
fn wait<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Duration> {
    let number = |name: &str| header(name)?.trim().parse().ok();
    number("retry-after-ms")
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
}

/// Returns a name of a kind, as of an event or a part, if it looks like one.
pub(crate) fn plain_name(name: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'.';
    ((1..=60).contains(&name.len()) && name.bytes().all(is_plain)).then_some(name)
}

// Only what looks like a code is one: a sentence may quote the key.
fn plain(word: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = (1..=40).contains(&word.len()) && word.bytes().all(is_plain);
    let word = fits.then(|| word.to_ascii_lowercase())?;
    // A key of letters and digits is no word.
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    (digits <= 4).then_some(word)
}

/// The part of a failure that goes to traces.
#[derive(Debug, thiserror::Error)]
enum ModelFailure {
    #[error("the server answered with status {status:?}, code {word:?}")]
    Refused {
        status: Option<u16>,
        word: Option<String>,
    },
    #[error("the server sent {what}")]
    Unreadable { what: &'static str },
    #[error("genai finds no server or key for the model")]
    Unresolved,
    #[error("genai can't write the request")]
    Unsupported,
}
