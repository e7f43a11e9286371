use axum::http::{HeaderValue, Method, StatusCode, header, response::Parts};
use unbroken::headers::{ACCEL_BUFFERING, SESSION_ID, SESSION_STATUS, SESSION_TAIL};

use super::super::mutant::{Fault, Mutant};

const STANDS: &str = "the_head_has_the_session_id_status_and_tail";
const HOLDS: &str = "the_head_forbids_caching_and_transforming";
const FOUND: &str = "the_head_has_the_location_of_the_session";
const DONE: &str = "at_the_terminal_event_every_stream_is_204";

pub(in super::super) const HEADS: &[Mutant] = &[
    Mutant::new(
        "X-Session-Id is missing",
        Fault::Head(|_, head| _ = head.headers.remove(SESSION_ID)),
        &[STANDS],
    ),
    Mutant::new(
        "X-Session-Id is missing for readers",
        Fault::Head(|asked, head| {
            if asked.method == Method::GET {
                head.headers.remove(SESSION_ID);
            }
        }),
        &[STANDS],
    ),
    Mutant::new(
        "X-Session-Status is missing",
        Fault::Head(|_, head| _ = head.headers.remove(SESSION_STATUS)),
        &[STANDS, DONE],
    ),
    Mutant::new(
        "X-Session-Status is always streaming",
        Fault::Head(|_, head| set(head, SESSION_STATUS, "streaming")),
        &[STANDS, DONE],
    ),
    Mutant::new(
        "X-Session-Tail is missing",
        Fault::Head(|_, head| _ = head.headers.remove(SESSION_TAIL)),
        &[STANDS, DONE],
    ),
    Mutant::new(
        "X-Session-Tail is one too high",
        Fault::Head(|_, head| {
            if let Some(tail) = head.headers.get(SESSION_TAIL) {
                let tail: u64 = tail.to_str().expect("ASCII").parse().expect("a number");
                head.headers.insert(SESSION_TAIL, (tail + 1).into());
            }
        }),
        &[STANDS, DONE],
    ),
    Mutant::new(
        "Cache-Control is missing",
        Fault::Head(|_, head| _ = head.headers.remove(header::CACHE_CONTROL)),
        &[HOLDS],
    ),
    Mutant::new(
        "Cache-Control allows transformations",
        Fault::Head(|_, head| set(head, header::CACHE_CONTROL, "no-store")),
        &[HOLDS],
    ),
    Mutant::new(
        "X-Accel-Buffering is missing",
        Fault::Head(|_, head| _ = head.headers.remove(ACCEL_BUFFERING)),
        &["the_head_tells_proxies_not_to_buffer"],
    ),
    Mutant::new(
        "X-Content-Type-Options is missing",
        Fault::Head(|_, head| _ = head.headers.remove(header::X_CONTENT_TYPE_OPTIONS)),
        &[HOLDS],
    ),
    Mutant::new(
        "Vary is missing",
        Fault::Head(|_, head| _ = head.headers.remove(header::VARY)),
        &[HOLDS],
    ),
    Mutant::new(
        "Vary names something else only",
        Fault::Head(|_, head| set(head, header::VARY, "accept-encoding")),
        &[HOLDS],
    ),
    Mutant::new(
        "streams say that they are compressed",
        Fault::Head(|asked, head| {
            if asked.headers.contains_key(header::ACCEPT_ENCODING) {
                set(head, header::CONTENT_ENCODING, "gzip");
            }
        }),
        &[HOLDS],
    ),
    Mutant::new(
        "types of content have a charset",
        Fault::Head(|_, head| {
            if let Some(name) = head.headers.get(header::CONTENT_TYPE) {
                let name = format!("{}; charset=utf-8", name.to_str().expect("ASCII"));
                set(head, header::CONTENT_TYPE, &name);
            }
        }),
        &[HOLDS],
    ),
    Mutant::new(
        "Content-Location is where the service thinks it is",
        Fault::Head(|asked, head| {
            if head.headers.contains_key(header::CONTENT_LOCATION) {
                set(head, header::CONTENT_LOCATION, asked.uri.path());
            }
        }),
        &[FOUND],
    ),
    Mutant::new(
        "Location is missing",
        Fault::Head(|_, head| _ = head.headers.remove(header::LOCATION)),
        &[FOUND],
    ),
    Mutant::new(
        "a start as JSON is 200",
        Fault::Head(|_, head| status(head, StatusCode::CREATED, StatusCode::OK)),
        &["a_start_as_json_is_201_without_a_stream"],
    ),
    Mutant::new(
        "a stream after the terminal event is 200 and empty",
        Fault::Head(|asked, head| {
            if asked.method != Method::DELETE {
                status(head, StatusCode::NO_CONTENT, StatusCode::OK);
            }
        }),
        &[
            DONE,
            "an_event_source_resumes_by_the_id_it_was_given",
            "a_post_with_a_cursor_reconnects_and_starts_nothing",
        ],
    ),
    Mutant::new(
        "a stream after the terminal event is 204 for an EventSource only",
        Fault::Head(|asked, head| {
            if asked
                .headers
                .get(header::ACCEPT)
                .is_none_or(|it| it != "text/event-stream")
            {
                status(head, StatusCode::NO_CONTENT, StatusCode::OK);
            }
        }),
        &[DONE],
    ),
    Mutant::new(
        "HEAD has other headers than GET",
        Fault::Head(|asked, head| {
            if asked.method == Method::HEAD {
                head.headers.remove(SESSION_TAIL);
            }
        }),
        &["head_is_get_without_the_body"],
    ),
    Mutant::new(
        "HEAD has another type of content",
        Fault::Head(|asked, head| {
            if asked.method == Method::HEAD {
                set(head, header::CONTENT_TYPE, "application/json");
            }
        }),
        &["head_is_get_without_the_body"],
    ),
    Mutant::new(
        "HEAD is 204",
        Fault::Head(|asked, head| {
            if asked.method == Method::HEAD {
                status(head, StatusCode::OK, StatusCode::NO_CONTENT);
            }
        }),
        &["head_is_get_without_the_body"],
    ),
    Mutant::new(
        "OPTIONS don't name DELETE",
        Fault::Head(|asked, head| {
            if asked.method == Method::OPTIONS {
                set(head, header::ALLOW, "GET, HEAD, OPTIONS");
            }
        }),
        &["options_lists_the_allowed_methods"],
    ),
    Mutant::new(
        "OPTIONS are 200",
        Fault::Head(|asked, head| {
            if asked.method == Method::OPTIONS {
                status(head, StatusCode::NO_CONTENT, StatusCode::OK);
            }
        }),
        &["options_lists_the_allowed_methods"],
    ),
    Mutant::new(
        "a deletion is 200",
        Fault::Head(|asked, head| {
            if asked.method == Method::DELETE {
                status(head, StatusCode::NO_CONTENT, StatusCode::OK);
            }
        }),
        &["an_ended_session_can_be_deleted"],
    ),
];

fn set(head: &mut Parts, name: header::HeaderName, value: &str) {
    head.headers
        .insert(name, HeaderValue::from_str(value).expect("ASCII"));
}

fn status(head: &mut Parts, from: StatusCode, to: StatusCode) {
    if head.status == from {
        head.status = to;
    }
}
