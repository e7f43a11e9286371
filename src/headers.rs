//! The headers that clients and servers exchange, for CORS and compression layers around a session.
//!
//! A page from another origin may send [`ALLOW`] and read [`EXPOSE`]; with tower-http that is
//! `CorsLayer::new().allow_headers(ALLOW).expose_headers(EXPOSE)`.
//!
//! A compression layer may hold events back, and tower-http's ignores `no-transform`. Exempt the streams
//! with `CompressionLayer::new().compress_when(unbroken::headers::may_compress)`.

use http::{Extensions, HeaderMap, HeaderName, Response, StatusCode, Version, header};

/// The id of the session: on a request the one that the client means, on a response the one that it
/// got.
pub const SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");
/// The status of the session when the head was sent, on a response.
pub const SESSION_STATUS: HeaderName = HeaderName::from_static("x-session-status");
/// The last LSN when the head was sent, on a response.
pub const SESSION_TAIL: HeaderName = HeaderName::from_static("x-session-tail");
/// The cursor after which to read, on a request.
pub const LAST_LSN: HeaderName = HeaderName::from_static("x-last-lsn");
/// The cursor as an `EventSource` sends it, on a request. It takes precedence over [`LAST_LSN`].
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The run of an AG-UI client, which is its session, on a request.
pub const RUN_ID: HeaderName = HeaderName::from_static("x-run-id");
/// The offset after the last record, on a response of the Durable Streams protocol.
pub const STREAM_NEXT_OFFSET: HeaderName = HeaderName::from_static("stream-next-offset");
/// Present if the response reaches the current tail, on a response of the Durable Streams protocol.
pub const STREAM_UP_TO_DATE: HeaderName = HeaderName::from_static("stream-up-to-date");
/// Present if the stream has ended, on a response of the Durable Streams protocol.
pub const STREAM_CLOSED: HeaderName = HeaderName::from_static("stream-closed");
/// The cursor to send with the next request, on a response of the Durable Streams protocol.
pub const STREAM_CURSOR: HeaderName = HeaderName::from_static("stream-cursor");
/// Stops the session if it is `1`, on a POST to a [recorded](crate::record) route.
pub const SESSION_ABORT: HeaderName = HeaderName::from_static("x-session-abort");
/// The LSN of the first frame of the body, on a response with [recorded](crate::record) lines or bytes.
pub const FIRST_LSN: HeaderName = HeaderName::from_static("x-first-lsn");
/// The key that names the session of a repeated request, where the server takes it.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Tells a proxy such as nginx not to buffer the body.
pub const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The request headers that a CORS layer must allow. Add `AUTHORIZATION` if your clients send tokens.
pub const ALLOW: [HeaderName; 9] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    IDEMPOTENCY_KEY,
    LAST_EVENT_ID,
    LAST_LSN,
    RUN_ID,
    SESSION_ABORT,
    SESSION_ID,
];

/// The response headers that a CORS layer must expose.
pub const EXPOSE: [HeaderName; 13] = [
    header::ALLOW,
    header::CONTENT_LOCATION,
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    FIRST_LSN,
    SESSION_ID,
    SESSION_STATUS,
    SESSION_TAIL,
    STREAM_CLOSED,
    STREAM_CURSOR,
    STREAM_NEXT_OFFSET,
    STREAM_UP_TO_DATE,
];

/// Returns true if the response is the stream of a session, which no layer or proxy may buffer or
/// rewrite.
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

/// Returns true if a compression layer may compress the response: all but the streams of sessions.
///
/// It has the signature of a predicate for tower-http's `compress_when`.
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
    fn documents_may_be_compressed_and_streams_may_not() {
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
