use axum::{
    body::Body,
    http::{HeaderValue, Method, StatusCode, header, request, response},
};
use futures_util::FutureExt as _;

use super::super::mutant::{Fault, Mutant};

const NOTHING: &str = "an_absent_session_is_404";
const METHODS: &str = "an_unsupported_method_is_405_with_allow";

pub(in super::super) const REFUSALS: &[Mutant] = &[
    Mutant::new(
        "an unknown id is 200 and empty",
        Fault::Exchange(|upstream, request| {
            async move {
                let mut response = upstream.call(request).await;
                if response.status() == StatusCode::NOT_FOUND {
                    response = response.map(|_| Body::empty());
                    *response.status_mut() = StatusCode::OK;
                    response.headers_mut().remove(header::CONTENT_LENGTH);
                }
                response
            }
            .boxed()
        }),
        &[
            NOTHING,
            "a_post_with_a_cursor_reconnects_and_starts_nothing",
        ],
    ),
    Mutant::new(
        "an unknown id is 400",
        Fault::Head(|_, head| status(head, 404, 400)),
        &[NOTHING],
    ),
    Mutant::new(
        "an unknown id is 204 for DELETE",
        Fault::Exchange(|upstream, request| {
            async move {
                let delete = request.method() == Method::DELETE;
                let mut response = upstream.call(request).await;
                if delete && response.status() == StatusCode::NOT_FOUND {
                    response = response.map(|_| Body::empty());
                    *response.status_mut() = StatusCode::NO_CONTENT;
                    response.headers_mut().clear();
                }
                response
            }
            .boxed()
        }),
        &[NOTHING],
    ),
    Mutant::new(
        "a deleted session is 404",
        Fault::Head(|_, head| status(head, 410, 404)),
        &[
            "a_deleted_session_is_stopped_and_gone",
            "an_ended_session_can_be_deleted",
        ],
    ),
    Mutant::new(
        "the same JSON in other bytes is the same request",
        Fault::Exchange(|upstream, request| {
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX)
                    .await
                    .unwrap_or_default();
                let body = match serde_json::from_slice::<serde_json::Value>(&body) {
                    Ok(json) => json.to_string().into(),
                    Err(_) => body,
                };
                let request = axum::extract::Request::from_parts(head, Body::from(body));
                upstream.call(request).await
            }
            .boxed()
        }),
        &["the_same_json_in_other_bytes_is_another_request"],
    ),
    Mutant::new(
        "a limit or a wait that is no number is ignored",
        Fault::Request(|head| {
            let query = head.uri.query().unwrap_or_default();
            let odd = query.ends_with("=many") || query.ends_with("=soon");
            if odd {
                head.uri = head.uri.path().parse().expect("a path");
            }
        }),
        &["a_malformed_limit_or_wait_is_refused"],
    ),
    Mutant::new(
        "documents may be cached",
        Fault::Head(|_, head| {
            let json = head.headers.get(header::CONTENT_TYPE);
            if json.is_some_and(|it| it.as_bytes().ends_with(b"json")) {
                head.headers.remove(header::CACHE_CONTROL);
            }
        }),
        &["documents_are_not_cached"],
    ),
    Mutant::new(
        "a server that shuts down says 500",
        Fault::Head(|_, head| status(head, 503, 500)),
        &["a_server_that_shuts_down_starts_nothing"],
    ),
    Mutant::new(
        "malformed JSON is 422",
        Fault::Head(|_, head| status(head, 400, 422)),
        &["malformed_json_is_400"],
    ),
    Mutant::new(
        "JSON of the wrong shape is 400",
        Fault::Head(|_, head| status(head, 422, 400)),
        &[
            "json_of_the_wrong_shape_is_422",
            "a_field_closed_to_clients_is_422",
        ],
    ),
    Mutant::new(
        "a body of another type is 400",
        Fault::Head(|_, head| status(head, 415, 400)),
        &["a_body_of_another_type_is_415"],
    ),
    Mutant::new(
        "any body is taken for JSON",
        Fault::Request(|head| {
            let json = HeaderValue::from_static("application/json");
            head.headers.insert(header::CONTENT_TYPE, json);
        }),
        &["a_body_of_another_type_is_415", "a_refusal_starts_nothing"],
    ),
    Mutant::new(
        "JSON with a charset is another type",
        Fault::Request(|head| {
            let content_type = head.headers.get(header::CONTENT_TYPE);
            if content_type.is_some_and(|it| it.as_bytes().contains(&b';')) {
                head.headers.remove(header::CONTENT_TYPE);
            }
        }),
        &["a_body_of_another_type_is_415"],
    ),
    Mutant::new(
        "Accept is ignored",
        Fault::Request(|head| _ = head.headers.remove(header::ACCEPT)),
        &[
            "accept_selects_the_encoding",
            "an_unsupported_accept_is_406",
        ],
    )
    .only(),
    Mutant::new(
        "the q of Accept is ignored",
        Fault::Request(|head| {
            accept(head, |accept| {
                let plain = accept
                    .split(',')
                    .map(|it| it.split(';').next().unwrap_or_default());
                plain.collect::<Vec<_>>().join(",")
            });
        }),
        &["accept_selects_the_encoding"],
    ),
    Mutant::new(
        "the first type of Accept wins",
        Fault::Request(|head| {
            accept(head, |accept| {
                accept.split(',').next().unwrap_or_default().to_owned()
            });
        }),
        &["accept_selects_the_encoding"],
    ),
    Mutant::new(
        "types of Accept are case-sensitive",
        Fault::Request(|head| {
            accept(head, |accept| {
                accept.replace("Text/Event-Stream", "text/html")
            });
        }),
        &["accept_selects_the_encoding"],
    ),
    Mutant::new(
        "405 has no Allow",
        Fault::Head(|_, head| {
            if head.status == StatusCode::METHOD_NOT_ALLOWED {
                head.headers.remove(header::ALLOW);
            }
        }),
        &[METHODS],
    ),
    Mutant::new(
        "Allow has what is refused",
        Fault::Head(|_, head| {
            if head.status == StatusCode::METHOD_NOT_ALLOWED {
                let all = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
                head.headers.insert(header::ALLOW, all);
            }
        }),
        &[METHODS],
    ),
    Mutant::new(
        "405 is 404",
        Fault::Head(|_, head| status(head, 405, 404)),
        &[METHODS],
    ),
    Mutant::new(
        "problems have no detail",
        Fault::Document(|_, problem| {
            if let Some(problem) = problem.as_object_mut() {
                problem.remove("detail");
            }
        }),
        &[NOTHING, METHODS],
    ),
    Mutant::new(
        "problems have no type",
        Fault::Document(|_, problem| {
            if problem["title"].is_string() {
                problem["type"] = "about:blank".into();
            }
        }),
        &[NOTHING, METHODS],
    ),
    Mutant::new(
        "problems have the status as a string",
        Fault::Document(|_, problem| {
            if let Some(status) = problem["status"].as_u64() {
                problem["status"] = status.to_string().into();
            }
        }),
        &[NOTHING, METHODS],
    ),
    Mutant::new(
        "problems are text/plain",
        Fault::Head(|_, head| {
            if head.status.is_client_error() {
                let plain = HeaderValue::from_static("text/plain");
                head.headers.insert(header::CONTENT_TYPE, plain);
            }
        }),
        &[NOTHING, METHODS],
    ),
    Mutant::new(
        "406 doesn't name the supported types",
        Fault::Document(|_, problem| {
            if problem["status"] == 406 {
                problem["detail"] = "ask for something else".into();
            }
        }),
        &["an_unsupported_accept_is_406"],
    ),
];

fn status(head: &mut response::Parts, from: u16, to: u16) {
    if head.status == from {
        head.status = StatusCode::from_u16(to).expect("a status");
    }
}

fn accept(head: &mut request::Parts, change: fn(&str) -> String) {
    if let Some(accept) = head.headers.get_mut(header::ACCEPT) {
        let changed = change(accept.to_str().expect("ASCII"));
        *accept = HeaderValue::from_str(&changed).expect("ASCII");
    }
}
