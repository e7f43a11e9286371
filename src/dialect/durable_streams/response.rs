use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::{
    DurableStreams,
    array::JsonArray,
    encoder::control,
    offset::OffsetDisplay,
    route::{ReadContext, ReadKind},
};
use crate::{
    dialect::{
        Progress, Refusal, RequestContext, ResponseData, SessionView,
        head::{describe, no_store},
        problem,
    },
    headers::{STREAM_CLOSED, STREAM_CURSOR, STREAM_NEXT_OFFSET, STREAM_UP_TO_DATE},
    log::{Chunk, Position},
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const SSE: HeaderValue = HeaderValue::from_static("text/event-stream");
const TRUE: HeaderValue = HeaderValue::from_static("true");
/// Keeps pages of other origins from embedding the response.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Returns the response to a granted request. The encoder writes the body of a stream.
pub(super) fn respond(dialect: &DurableStreams, data: &ResponseData<'_>) -> Response<Bytes> {
    match data {
        ResponseData::Stream { session, after, .. } => {
            let mut response = of(session, StatusCode::OK);
            sse_head(*after, response.headers_mut());
            response
        }
        // Over SSE this is a short connection, and not a 204.
        ResponseData::AtEnd { session, at, .. } => {
            let mut response = of(session, StatusCode::OK);
            sse_head(*at, response.headers_mut());
            let mut out = BytesMut::new();
            let end = Progress::new(*at).caught_up(true).ended(true);
            control(end, 0, &mut out);
            *response.body_mut() = out.freeze();
            response
        }
        ResponseData::Page {
            session,
            known,
            records,
            next,
            context,
        } => match read_context(context) {
            #[cfg(feature = "ai-sdk")]
            Some(read) if matches!(read.kind, ReadKind::Reconnect) => {
                stream_url(session, StatusCode::OK, "?message=whole")
            }
            read => page(
                session,
                &ReadRange {
                    dialect,
                    known,
                    records,
                    next: *next,
                },
                read,
            ),
        },
        ResponseData::Document { session, .. } => stream_url(session, StatusCode::CREATED, ""),
        ResponseData::Aborted {
            session, already, ..
        } => of(
            session,
            if *already {
                StatusCode::OK
            } else {
                StatusCode::ACCEPTED
            },
        ),
        ResponseData::Options { allow } => {
            let mut response = nothing();
            let allow = HeaderValue::from_static(allow);
            response.headers_mut().insert(header::ALLOW, allow);
            response
        }
        // `Idle`; this dialect requests nothing else.
        _ => nothing(),
    }
}

/// Returns the response to a refused request.
pub(super) fn refuse(refusal: &Refusal) -> Response<Bytes> {
    let mut response = problem::refuse(refusal);
    set_resource_policy(response.headers_mut());
    response
}

fn read_context(context: &RequestContext) -> Option<&ReadContext> {
    context
        .as_deref()
        .and_then(|context| context.downcast_ref())
}

/// The records for a response that isn't a stream.
struct ReadRange<'a> {
    dialect: &'a DurableStreams,
    known: &'a [Chunk],
    records: &'a [Chunk],
    next: Position,
}

fn page(
    session: &SessionView<'_>,
    range: &ReadRange<'_>,
    context: Option<&ReadContext>,
) -> Response<Bytes> {
    let mut response = of(session, StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    let at_tail = range.next.lsn >= session.tail;
    let closed = at_tail && session.status.outcome().is_some();
    next_offset(range.next, headers);
    if at_tail {
        headers.insert(STREAM_UP_TO_DATE, TRUE);
    }
    if closed {
        headers.insert(STREAM_CLOSED, TRUE);
    }
    match context.map(|context| &context.kind) {
        Some(ReadKind::CatchUp {
            from,
            if_none_match,
        }) => {
            let etag = etag(session, *from, range.next, closed);
            let unchanged = if_none_match
                .as_deref()
                .is_some_and(|tags| matches(tags, &etag));
            let etag = HeaderValue::try_from(etag);
            headers.insert(header::ETAG, etag.expect("ids and offsets are ASCII"));
            headers.insert(
                header::CACHE_CONTROL,
                HeaderValue::from_static("private, no-cache, no-transform"),
            );
            if unchanged {
                headers.remove(header::CONTENT_TYPE);
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                return response;
            }
        }
        Some(ReadKind::LongPoll) => {
            let cursor = context.map_or(1, |context| context.cursor);
            headers.insert(STREAM_CURSOR, cursor.into());
            if range.records.is_empty() {
                headers.remove(header::CONTENT_TYPE);
                *response.status_mut() = StatusCode::NO_CONTENT;
                return response;
            }
        }
        Some(ReadKind::Head) => return response,
        _ => {}
    }
    let whole_message = context.is_some_and(|context| context.whole_message);
    *response.body_mut() = range.body(session, whole_message);
    response
}

impl ReadRange<'_> {
    fn body(&self, session: &SessionView<'_>, whole_message: bool) -> Bytes {
        let mut items = self.dialect.items(whole_message);
        items.name(session.id.as_str());
        for records in self.known {
            items.skip(records);
        }
        let (mut array, mut out) = (JsonArray::new("[", "]"), BytesMut::new());
        for records in self.records {
            items.write(records, &mut array, &mut out);
        }
        array.close(&mut out);
        if out.is_empty() {
            Bytes::from_static(b"[]")
        } else {
            out.freeze()
        }
    }
}

/// Returns the `ETag` of a response, in the syntax of RFC 9110.
fn etag(session: &SessionView<'_>, from: Position, to: Position, closed: bool) -> String {
    let closed = if closed { ":c" } else { "" };
    format!(
        "\"{}:{}:{}{closed}\"",
        session.id,
        OffsetDisplay(from),
        OffsetDisplay(to)
    )
}

/// Returns true if `If-None-Match` has this tag. A proxy may have made it weak.
fn matches(tags: &str, etag: &str) -> bool {
    tags.split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn sse_head(at: Position, headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, SSE);
    next_offset(at, headers);
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-cache, no-transform"),
    );
}

fn next_offset(at: Position, headers: &mut HeaderMap) {
    let offset = HeaderValue::try_from(OffsetDisplay(at).to_string());
    headers.insert(STREAM_NEXT_OFFSET, offset.expect("digits and a tag"));
}

/// Returns the response that names the URL of a session's stream.
fn stream_url(session: &SessionView<'_>, status: StatusCode, query: &str) -> Response<Bytes> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct StreamCreated<'a> {
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        stream_url: Option<String>,
    }
    let mut response = of(session, status);
    let url = session
        .mount
        .map(|mount| format!("{mount}/{}{query}", session.id));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    if let Some(location) = url.as_deref().and_then(|url| url.parse().ok()) {
        headers.insert(header::LOCATION, location);
    }
    let document = StreamCreated {
        id: session.id.as_str(),
        stream_url: url,
    };
    let body = serde_json::to_vec(&document).expect("strings are JSON");
    *response.body_mut() = body.into();
    response
}

fn of(session: &SessionView<'_>, status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    describe(session, response.headers_mut());
    set_resource_policy(response.headers_mut());
    response
}

fn nothing() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    no_store(response.headers_mut());
    set_resource_policy(response.headers_mut());
    response
}

fn set_resource_policy(headers: &mut HeaderMap) {
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_matches_in_a_list_and_weakened() {
        assert!(matches("\"a\"", "\"a\""));
        assert!(matches("\"b\", W/\"a\"", "\"a\""));
        assert!(matches("*", "\"a\""));
        assert!(!matches("\"b\"", "\"a\""));
        assert!(!matches("a", "\"a\""));
    }
}
