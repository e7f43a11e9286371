//! Request and response heads that the dialects share.

use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};

use super::{Problem, Refusal, SessionView};
use crate::{
    headers::{ACCEL_BUFFERING, SESSION_ID, SESSION_STATUS, SESSION_TAIL},
    log::{InvalidSessionId, SessionId},
};

/// Parses the id of a session in a path or a header.
pub(super) fn parse_id(text: &str) -> Result<SessionId, Refusal> {
    text.parse()
        .map_err(|error: InvalidSessionId| Refusal::new(Problem::MalformedId, error.to_string()))
}

/// Returns the refusal for a path that exists with other methods.
pub(super) fn not_allowed(allow: &'static str) -> Refusal {
    Refusal::new(
        Problem::MethodNotAllowed,
        format!("the methods here are {allow}"),
    )
    .allow(allow)
}

/// Returns true if the `Content-Type` of the request is JSON.
pub(crate) fn is_json(head: &Parts) -> bool {
    head.headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim())
        .is_some_and(|mime| {
            mime.eq_ignore_ascii_case("application/json")
                || (mime.len() > 5
                    && mime
                        .get(mime.len() - 5..)
                        .is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json")))
        })
}

/// Checks that the `Content-Type` of the request is JSON.
pub(super) fn content_type(head: &Parts) -> Result<(), Refusal> {
    if is_json(head) {
        Ok(())
    } else {
        Err(Refusal::new(
            Problem::UnsupportedMediaType,
            "send the body as JSON, with `Content-Type: application/json`",
        ))
    }
}

/// Returns the value of a header, trimmed. Two different values of one header are refused, and a
/// value that isn't text becomes one that no parser accepts.
pub(crate) fn header_value(
    head: &Parts,
    name: &HeaderName,
    problem: Problem,
) -> Result<Option<String>, Refusal> {
    let mut values = head.headers.get_all(name).iter().map(text);
    let first = values.next();
    if values.any(|other| Some(&other) != first.as_ref()) {
        return Err(Refusal::new(
            problem,
            format!("the request has two different headers `{name}`; send one"),
        ));
    }
    Ok(first)
}

fn text(value: &HeaderValue) -> String {
    value.to_str().unwrap_or("\u{fffd}").trim().to_owned()
}

/// Sets the headers of every response: no cache stores it, and no browser guesses its type.
pub(crate) fn no_store(headers: &mut HeaderMap) {
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-transform"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
}

/// Sets the headers of every response about a session.
pub(crate) fn describe(session: &SessionView<'_>, headers: &mut HeaderMap) {
    no_store(headers);
    let id = HeaderValue::from_str(session.id.as_str());
    headers.insert(SESSION_ID, id.expect("an id is made of visible ASCII"));
    let status = HeaderValue::from_static(session.status.as_str());
    headers.insert(SESSION_STATUS, status);
    headers.insert(SESSION_TAIL, session.tail.get().into());
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
}
