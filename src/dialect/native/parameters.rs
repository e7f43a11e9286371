//! What a request's headers and query say, beside `Accept`.

use http::{HeaderName, Method, request::Parts};

use super::accept::{self, JSON, NDJSON, Representation, SSE};
use crate::{
    dialect::{
        Cursor, InvalidCursor, Problem, Refusal,
        head::{header_value, parse_id},
        query::query,
    },
    headers::{LAST_EVENT_ID, SESSION_ID},
    log::{Position, SessionId},
};

/// The most bytes of a list's token. What is longer is no store's, and not worth asking one.
const LIST_TOKEN_MAX: usize = 512;

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
    header_value(head, &SESSION_ID, Problem::MalformedId)?
        .or_else(|| query(head, "sessionId"))
        .map(|text| parse_id(&text))
        .transpose()
}

/// The cursor in the first of these headers that is there and says something, else in the query.
///
/// On a POST an empty cursor is malformed: what was meant to reconnect must not start a session.
/// Only `Last-Event-ID` may be empty there too, for an event source that has no id yet.
pub(super) fn cursor(
    head: &Parts,
    names: &[HeaderName],
    parameter: &str,
) -> Result<Option<Position>, Refusal> {
    let empty_counts = head.method == Method::POST;
    for name in names {
        match header_value(head, name, Problem::MalformedCursor)? {
            Some(text) if !text.is_empty() => return parse_cursor(&text).map(Some),
            Some(text) if empty_counts && name != LAST_EVENT_ID => {
                return parse_cursor(&text).map(Some);
            }
            _ => {}
        }
    }
    query(head, parameter)
        .map(|text| text.trim().to_owned())
        .filter(|text| empty_counts || !text.is_empty())
        .map(|text| parse_cursor(&text))
        .transpose()
}

fn parse_cursor(text: &str) -> Result<Position, Refusal> {
    text.parse()
        .map(|Cursor(position)| position)
        .map_err(|error: InvalidCursor| Refusal::new(Problem::MalformedCursor, error.to_string()))
}

/// Whether runs of text are to come folded.
pub(super) fn compact(head: &Parts) -> Result<bool, Refusal> {
    match query(head, "replay").as_deref() {
        None => Ok(false),
        Some("compact") => Ok(true),
        Some(_) => Err(Refusal::new(
            Problem::MalformedParameter,
            "`replay` is `compact`; leave it out for every event as it is",
        )),
    }
}

/// Where a list goes on. Each store makes tokens of its own, so only what can't be one is refused.
pub(super) fn list_token(head: &Parts) -> Result<Option<String>, Refusal> {
    query(head, "after")
        .map(|text| {
            let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
            if visible && (1..=LIST_TOKEN_MAX).contains(&text.len()) {
                Ok(text)
            } else {
                Err(Refusal::new(
                    Problem::MalformedCursor,
                    "`after` is the `next` of the page before; leave it out for the first page",
                ))
            }
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
