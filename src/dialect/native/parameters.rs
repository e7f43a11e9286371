//! What a request's headers and query say, beside `Accept`.

use http::{HeaderName, HeaderValue, header, request::Parts};

use super::accept::{self, JSON, NDJSON, Representation, SSE};
use crate::{
    dialect::{Cursor, InvalidCursor, Problem, Refusal, query::query},
    headers::SESSION_ID,
    session::{InvalidSessionId, Position, SessionId},
};

pub(super) fn representation(head: &Parts) -> Result<Representation, Refusal> {
    // An EventSource says what it wants; a browser that merely visits the address doesn't.
    accept::negotiate(&head.headers).ok_or_else(|| {
        Refusal::new(
            Problem::NotAcceptable,
            format!("accept one of {NDJSON}, {SSE}, {JSON}"),
        )
    })
}

pub(super) fn session_id(head: &Parts) -> Result<Option<SessionId>, Refusal> {
    head.headers
        .get(SESSION_ID)
        .map(text)
        .or_else(|| query(head, "sessionId"))
        .map(|text| parse_id(&text))
        .transpose()
}

pub(super) fn parse_id(text: &str) -> Result<SessionId, Refusal> {
    text.parse()
        .map_err(|error: InvalidSessionId| Refusal::new(Problem::MalformedId, error.to_string()))
}

/// The cursor in the first of these headers that is there and says something, else in the query.
pub(super) fn cursor(
    head: &Parts,
    names: &[HeaderName],
    parameter: &str,
) -> Result<Option<Position>, Refusal> {
    names
        .iter()
        .filter_map(|name| head.headers.get(name))
        .map(text)
        .chain(query(head, parameter))
        .map(|text| text.trim().to_owned())
        .find(|text| !text.is_empty())
        .map(|text| {
            text.parse()
                .map(|Cursor(position)| position)
                .map_err(|error: InvalidCursor| {
                    Refusal::new(Problem::MalformedCursor, error.to_string())
                })
        })
        .transpose()
}

pub(super) fn number(head: &Parts, name: &str, what: &str) -> Result<Option<usize>, Refusal> {
    query(head, name)
        .map(|text| {
            text.parse().map_err(|_| {
                Refusal::new(Problem::MalformedParameter, format!("`{name}` is {what}"))
            })
        })
        .transpose()
}

pub(super) fn content_type(head: &Parts) -> Result<(), Refusal> {
    let json = head
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim())
        .is_some_and(|mime| {
            mime.eq_ignore_ascii_case(JSON)
                || (mime.len() > 5
                    && mime
                        .get(mime.len() - 5..)
                        .is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json")))
        });
    if json {
        Ok(())
    } else {
        Err(Refusal::new(
            Problem::UnsupportedMediaType,
            "send the chat request as JSON, with `Content-Type: application/json`",
        ))
    }
}

/// A header's value, made to be refused where it isn't text.
fn text(value: &HeaderValue) -> String {
    value.to_str().unwrap_or("\u{fffd}").to_owned()
}
