//! The names of the headers that clients and servers exchange, and what CORS and compression layers
//! around a session must know of them.
//!
//! A page from another origin may send [`ALLOW`] and read [`EXPOSE`]; with tower-http that is
//! `CorsLayer::new().allow_headers(ALLOW).expose_headers(EXPOSE)`.
//!
//! A compression layer may hold events back and ignores `no-transform`: keep it off with
//! `CompressionLayer::new().compress_when(unbroken::headers::may_compress)`.

use http::{Extensions, HeaderMap, HeaderName, Response, StatusCode, Version, header};

/// Names the session: on a request the one that the client means, on a response the one that it got.
pub const SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
/// On a response: how the session stood when the head left.
pub const SESSION_STATUS: HeaderName = HeaderName::from_static("x-session-status");
/// On a response: the last LSN when the head left.
pub const SESSION_TAIL: HeaderName = HeaderName::from_static("x-session-tail");
/// On a request: the cursor to read on from.
pub const LAST_LSN: HeaderName = HeaderName::from_static("x-last-lsn");
/// On a request: the cursor as an `EventSource` sends it. It wins over [`LAST_LSN`].
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// On a request: the run that a client of AG-UI means, which is its session.
pub const RUN_ID: HeaderName = HeaderName::from_static("x-run-id");
/// On a response to a client of Durable Streams: where to read on.
pub const STREAM_NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
/// The same: nothing more is there by now.
pub const STREAM_UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
/// The same: nothing more will ever come.
pub const STREAM_CLOSED: HeaderName = HeaderName::from_static("stream-closed");
/// The same: what to send along the next time.
pub const STREAM_CURSOR: HeaderName = HeaderName::from_static("stream-cursor");
/// Tells a proxy such as nginx not to hold the body back.
pub const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The request headers that a CORS layer must allow. Add `AUTHORIZATION` if your clients send tokens.
pub const ALLOW: [HeaderName; 7] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    LAST_EVENT_ID,
    LAST_LSN,
    RUN_ID,
    SESSION_ID,
];

/// The response headers that a CORS layer must expose.
pub const EXPOSE: [HeaderName; 12] = [
    header::ALLOW,
    header::CONTENT_LOCATION,
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    SESSION_ID,
    SESSION_STATUS,
    SESSION_TAIL,
    STREAM_CLOSED,
    STREAM_CURSOR,
    STREAM_NEXT_OFFSET,
    STREAM_UP_TO_DATE,
];

/// Whether this is the stream of a session, which nothing on the way may hold back or rewrite.
///
/// ```
/// use http::{Response, header::CONTENT_TYPE};
/// use unbroken::headers::{SESSION_ID, is_session_stream};
///
/// let stream = Response::builder()
///     .header(SESSION_ID, "0123456789abcdefghjkmnpqrs")
///     .header(CONTENT_TYPE, "application/x-ndjson")
///     .body(())?;
/// assert!(is_session_stream(&stream));
/// assert!(!is_session_stream(&Response::new(())));
/// # Ok::<_, http::Error>(())
/// ```
pub fn is_session_stream<B>(response: &Response<B>) -> bool {
    is_stream(response.headers())
}

/// Whether a compression layer may touch this response: a predicate in the form that tower-http's
/// `compress_when` takes.
pub fn may_compress(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    !is_stream(headers)
}

fn is_stream(headers: &HeaderMap) -> bool {
    let json = |value: &http::HeaderValue| value.as_bytes().starts_with(b"application/json");
    headers.contains_key(SESSION_ID)
        && headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|content_type| !json(content_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(content_type: &'static str) -> Response<()> {
        Response::builder()
            .header(SESSION_ID, "a")
            .header(header::CONTENT_TYPE, content_type)
            .body(())
            .unwrap()
    }

    #[test]
    fn streams_are_kept_from_compression_and_documents_are_not() {
        for (content_type, stream) in [
            ("application/x-ndjson", true),
            ("text/event-stream", true),
            ("application/json", false),
        ] {
            let (parts, ()) = response(content_type).into_parts();
            assert_eq!(
                may_compress(
                    parts.status,
                    parts.version,
                    &parts.headers,
                    &parts.extensions
                ),
                !stream
            );
        }
        let mut foreign = response("text/event-stream");
        foreign.headers_mut().remove(SESSION_ID);
        assert!(!is_session_stream(&foreign));
    }
}
