//! What a request's headers and query say, beside `Accept`.

use http::{HeaderName, HeaderValue, Method, header, request::Parts};

use super::accept::{self, JSON, NDJSON, Representation, SSE};
use crate::{
    dialect::{Cursor, InvalidCursor, Problem, Refusal, query::query},
    headers::{LAST_EVENT_ID, SESSION_ID},
    session::{InvalidSessionId, Position, SessionId},
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

pub(super) fn parse_id(text: &str) -> Result<SessionId, Refusal> {
    text.parse()
        .map_err(|error: InvalidSessionId| Refusal::new(Problem::MalformedId, error.to_string()))
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

/// A header's value without the spaces around it, made to be refused where it isn't text. Of two
/// that differ nobody knows which one is meant.
fn header_value(
    head: &Parts,
    name: &HeaderName,
    problem: Problem,
) -> Result<Option<String>, Refusal> {
    let mut values = head.headers.get_all(name).iter().map(text);
    let first = values.next();
    if values.any(|other| Some(&other) != first.as_ref()) {
        return Err(Refusal::new(
            problem,
            format!("the header `{name}` is there twice and says two things; send it once"),
        ));
    }
    Ok(first)
}

fn text(value: &HeaderValue) -> String {
    value.to_str().unwrap_or("\u{fffd}").trim().to_owned()
}
