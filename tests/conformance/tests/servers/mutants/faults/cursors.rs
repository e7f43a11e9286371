use axum::{
    body::Body,
    extract::Request,
    http::{Method, StatusCode, request::Parts},
};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use unbroken::headers::{LAST_EVENT_ID, LAST_LSN, SESSION_ID};

use super::{
    super::mutant::{Fault, Mutant},
    query::{header, query},
};

const AFTER: &str = "a_reader_gets_what_follows_its_cursor";
const SEVERAL: &str = "of_several_cursors_the_event_source_wins_then_the_header";
const SOURCE: &str = "an_event_source_resumes_by_the_id_it_was_given";
const POST: &str = "a_post_with_a_cursor_reconnects_and_starts_nothing";
const TWINS: &str = "query_parameters_stand_in_for_headers_and_headers_win";
const CUT: &str = "an_answer_cut_after_any_event_is_resumed";

pub(in super::super) const CURSORS: &[Mutant] = &[
    Mutant::new(
        "cursors are ignored",
        Fault::Request(|head| {
            head.headers.remove(LAST_LSN);
            head.headers.remove(LAST_EVENT_ID);
            query(head, |name, value| {
                (name != "after").then(|| value.to_owned())
            });
        }),
        &[AFTER, SEVERAL, SOURCE, POST, CUT],
    ),
    Mutant::new(
        "X-Last-LSN is ignored",
        Fault::Request(|head| _ = head.headers.remove(LAST_LSN)),
        &[AFTER, SEVERAL, POST],
    ),
    Mutant::new(
        "Last-Event-ID is ignored",
        Fault::Request(|head| _ = head.headers.remove(LAST_EVENT_ID)),
        &[AFTER, SEVERAL, SOURCE, CUT],
    ),
    Mutant::new(
        "?after is ignored",
        Fault::Request(|head| {
            query(head, |name, value| {
                (name != "after").then(|| value.to_owned())
            });
        }),
        &[AFTER],
    ),
    Mutant::new(
        "the event at the cursor comes again",
        Fault::Request(|head| cursors(head, |lsn| lsn.saturating_sub(1))),
        &[AFTER, SEVERAL, POST],
    ),
    Mutant::new(
        "the event after the cursor is left out",
        Fault::Request(|head| cursors(head, |lsn| lsn + 1)),
        &[AFTER, SEVERAL, POST],
    ),
    Mutant::new(
        "X-Last-LSN wins over Last-Event-ID",
        Fault::Request(|head| {
            if head.headers.contains_key(LAST_LSN) {
                head.headers.remove(LAST_EVENT_ID);
            }
        }),
        &[SEVERAL],
    ),
    Mutant::new(
        "?after wins over headers",
        Fault::Request(|head| {
            if head.uri.query().is_some_and(|it| it.contains("after")) {
                head.headers.remove(LAST_LSN);
                head.headers.remove(LAST_EVENT_ID);
            }
        }),
        &[SEVERAL],
    ),
    Mutant::new(
        "the tag of a cursor is ignored",
        Fault::Request(|head| {
            header(head, &LAST_EVENT_ID, |cursor| {
                cursor.split('.').next().unwrap_or_default().to_owned()
            });
        }),
        &["a_cursor_of_another_epoch_is_a_rewound_log"],
    ),
    Mutant::new(
        "a malformed cursor is the beginning",
        Fault::Request(|head| {
            header(head, &LAST_LSN, |cursor| {
                cursor
                    .parse::<u64>()
                    .map_or("0".to_owned(), |lsn| lsn.to_string())
            });
        }),
        &["a_malformed_cursor_is_refused"],
    ),
    Mutant::new(
        "a cursor past the tail is the beginning",
        Fault::Exchange(|upstream, request| {
            async move {
                let (mut head, body) = request.into_parts();
                let response = upstream.call(Request::from_parts(head.clone(), body)).await;
                if response.status() == StatusCode::BAD_REQUEST && head.method == Method::GET {
                    header(&mut head, &LAST_LSN, |_| "0".to_owned());
                    return upstream
                        .call(Request::from_parts(head, Body::empty()))
                        .await;
                }
                response
            }
            .boxed()
        }),
        &["a_bare_cursor_past_the_tail_is_refused"],
    ),
    Mutant::new(
        "a POST with a cursor begins anew",
        Fault::Request(|head| {
            if head.method == Method::POST {
                head.headers.remove(LAST_LSN);
                query(head, |name, value| {
                    (name != "lastLsn").then(|| value.to_owned())
                });
            }
        }),
        &[POST, TWINS, "a_refusal_starts_nothing"],
    ),
    Mutant::new(
        "a POST with a cursor starts what isn't there",
        Fault::Exchange(|upstream, request| {
            async move {
                let (mut head, body) = request.into_parts();
                let bytes = body
                    .collect()
                    .await
                    .map(http_body_util::Collected::to_bytes)
                    .unwrap_or_default();
                let again = bytes.clone();
                let response = upstream
                    .call(Request::from_parts(head.clone(), bytes.into()))
                    .await;
                if response.status() == StatusCode::NOT_FOUND && head.method == Method::POST {
                    head.headers.remove(LAST_LSN);
                    return upstream.call(Request::from_parts(head, again.into())).await;
                }
                response
            }
            .boxed()
        }),
        &[POST, "a_refusal_starts_nothing"],
    ),
    Mutant::new(
        "?sessionId is ignored",
        Fault::Request(|head| {
            query(head, |name, value| {
                (name != "sessionId").then(|| value.to_owned())
            });
        }),
        &[TWINS],
    ),
    Mutant::new(
        "?sessionId wins over X-Session-Id",
        Fault::Request(|head| {
            if head.uri.query().is_some_and(|it| it.contains("sessionId")) {
                head.headers.remove(SESSION_ID);
            }
        }),
        &[TWINS],
    ),
    Mutant::new(
        "?lastLsn is ignored",
        Fault::Request(|head| {
            query(head, |name, value| {
                (name != "lastLsn").then(|| value.to_owned())
            });
        }),
        &[TWINS],
    ),
    Mutant::new(
        "?lastLsn wins over X-Last-LSN",
        Fault::Request(|head| {
            if head.uri.query().is_some_and(|it| it.contains("lastLsn")) {
                head.headers.remove(LAST_LSN);
            }
        }),
        &[TWINS],
    ),
];

/// Changes bare cursors.
fn cursors(head: &mut Parts, change: fn(u64) -> u64) {
    let change = |cursor: &str| {
        cursor
            .parse()
            .map_or(cursor.to_owned(), |lsn| change(lsn).to_string())
    };
    header(head, &LAST_LSN, change);
    header(head, &LAST_EVENT_ID, change);
    query(head, |name, value| {
        Some(if name == "after" {
            change(value)
        } else {
            value.to_owned()
        })
    });
}
