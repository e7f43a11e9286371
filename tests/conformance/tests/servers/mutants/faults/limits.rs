use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use futures_util::StreamExt as _;

use super::super::{
    items::Item,
    mutant::{Fault, Mutant, ServiceKind},
};

const BODY: &str = "a_body_over_its_limit_is_413";
const EVENT: &str = "text_over_the_limit_of_an_event_is_several_events";
const EVENTS: &str = "a_session_over_its_events_has_room_for_the_terminal_event";
const RUNNING: &str = "one_session_too_many_is_429";
const BYTES: &str = "a_session_over_its_bytes_ends_with_limit";
const HANGS: &str = "a_provider_that_hangs_is_a_timeout";
const AGE: &str = "a_session_that_runs_too_long_is_a_timeout";

/// The limits that `chat` sets, or their defaults.
const MAX_BODY: usize = 1024 * 1024;
const EVENT_BYTES: usize = 256 * 1024;
const SESSION_EVENTS: u64 = 100_000;
const SESSIONS: usize = 200;
const SESSION_BYTES: usize = 20_000;

pub(in super::super) const LIMITS: &[Mutant] = &[
    Mutant::new(
        "a body may have a byte less than it may",
        Fault::Description(|target| target.max_body(MAX_BODY + 1)),
        &[BODY],
    ),
    Mutant::new(
        "a body may have a byte more than it may",
        Fault::Description(|target| target.max_body(MAX_BODY - 1)),
        &[BODY],
    ),
    Mutant::new(
        "413 is 400",
        Fault::Head(|_, head| {
            if head.status == StatusCode::PAYLOAD_TOO_LARGE {
                head.status = StatusCode::BAD_REQUEST;
            }
        }),
        &[BODY],
    ),
    Mutant::new(
        "an event may have a byte less than it may",
        Fault::Description(|target| target.event_bytes(EVENT_BYTES + 1)),
        &[EVENT],
    ),
    Mutant::new(
        "an event may have a byte more than it may",
        Fault::Description(|target| target.event_bytes(EVENT_BYTES - 1)),
        &[EVENT],
    ),
    Mutant::new(
        "a session may have an event less than it may",
        Fault::Description(|target| target.session_events(SESSION_EVENTS + 1)),
        &[EVENTS],
    ),
    Mutant::new(
        "a session may have an event more than it may",
        Fault::Description(|target| target.session_events(SESSION_EVENTS - 1)),
        &[EVENTS],
    ),
    Mutant::new(
        "a session less may run than may",
        Fault::Description(|target| target.running_per_owner(SESSIONS + 1)),
        &[RUNNING],
    ),
    Mutant::new(
        "a session more may run than may",
        Fault::Description(|target| target.running_per_owner(SESSIONS - 1)),
        &[RUNNING],
    ),
    Mutant::new(
        "429 has no Retry-After",
        Fault::Head(|_, head| _ = head.headers.remove(header::RETRY_AFTER)),
        &[RUNNING],
    ),
    Mutant::new(
        "429 is 503",
        Fault::Head(|_, head| {
            if head.status == StatusCode::TOO_MANY_REQUESTS {
                head.status = StatusCode::SERVICE_UNAVAILABLE;
            }
        }),
        &[RUNNING],
    ),
    Mutant::new(
        "the sessions of one owner leave no room for another's",
        Fault::Request(|head| {
            if head.method == "POST" && head.uri.path() == "/" {
                head.headers
                    .insert("x-user", HeaderValue::from_static("ann"));
            }
        }),
        &[RUNNING],
    )
    .only(),
    Mutant::new(
        "a session may have a byte less than it may",
        Fault::Description(|target| target.session_bytes(SESSION_BYTES + 1)),
        &[BYTES],
    )
    .on(ServiceKind::Strict),
    Mutant::new(
        "a session may have a byte more than it may",
        Fault::Description(|target| target.session_bytes(SESSION_BYTES - 1)),
        &[BYTES],
    )
    .on(ServiceKind::Strict),
    Mutant::new(
        "every limit is a failure of the provider's",
        Fault::Stream(|_, items| items.map(as_provider_error).boxed()),
        &[BYTES, HANGS],
    )
    .on(ServiceKind::Strict),
    Mutant::new(
        "a provider may be silent for less long than it may",
        Fault::Description(|target| target.idle(Duration::from_secs(2))),
        &[HANGS],
    )
    .on(ServiceKind::Strict),
    Mutant::new(
        "a provider that hangs is left out of the log",
        Fault::Stream(|_, items| {
            let kept = items.filter(|item| {
                let ends = matches!(item, Ok(Item::Event(it)) if it.data.contains("timeout"));
                std::future::ready(!ends)
            });
            kept.boxed()
        }),
        &[HANGS],
    )
    .on(ServiceKind::Strict),
    Mutant::new(
        "a session may run for less long than it may",
        Fault::Description(|target| target.age(Duration::from_secs(2))),
        &[AGE],
    )
    .on(ServiceKind::Aged),
    Mutant::new(
        "a session that ran too long is a failure of the provider's",
        Fault::Stream(|_, items| items.map(as_provider_error).boxed()),
        &[AGE],
    )
    .on(ServiceKind::Aged),
    Mutant::new(
        "a body may take longer than it may",
        Fault::Description(|target| target.body_timeout(Duration::from_millis(25))),
        &["a_body_that_is_too_slow_is_408"],
    ),
    Mutant::new(
        "408 is 400",
        Fault::Head(|_, head| {
            if head.status == StatusCode::REQUEST_TIMEOUT {
                head.status = StatusCode::BAD_REQUEST;
            }
        }),
        &["a_body_that_is_too_slow_is_408"],
    ),
];

/// Changes the code of every error to `provider`.
fn as_provider_error(item: Result<Item, axum::Error>) -> Result<Item, axum::Error> {
    item.map(|item| match item {
        Item::Event(mut event) => {
            for code in ["timeout", "limit"] {
                let code = format!("\"code\":\"{code}\"");
                event.data = event.data.replace(&code, "\"code\":\"provider\"");
            }
            Item::Event(event)
        }
        Item::Other(text) => Item::Other(text),
    })
}
