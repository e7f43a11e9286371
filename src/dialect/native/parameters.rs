//! The parameters of a request in its headers and query.

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

/// The maximum size of a list token, in bytes. No store makes longer ones.
const LIST_TOKEN_MAX: usize = 512;

pub(super) fn representation(head: &Parts) -> Result<Representation, Refusal> {
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

/// Returns the cursor in the first of these headers that is present and not empty, else the one in
/// the query.
///
/// On a POST an empty cursor is malformed: a failed reconnect must not start a session. Only
/// `Last-Event-ID` may be empty there, for an event source that has no id yet.
pub(crate) fn cursor(
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

/// Returns true if the request asks for a compact replay.
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

/// Returns the token of a list. Tokens are up to the store, so only impossible ones are refused.
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
