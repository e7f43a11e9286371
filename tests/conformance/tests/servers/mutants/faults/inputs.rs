use axum::{
    body::Body,
    extract::Request,
    http::{Method, StatusCode},
};
use futures_util::{FutureExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::super::{
    items::Item,
    mutant::{Fault, Mutant},
};

const GOES_ON: &str = "a_question_is_answered_and_the_answer_goes_on";
const HEARD: &str = "a_question_can_be_declined_or_cancelled";
const ONCE: &str = "a_question_is_answered_once";
const FITS: &str = "an_answer_that_does_not_fit_its_schema_is_422";
const ASKED: &str = "an_unknown_question_is_404";
const LATE: &str = "a_late_answer_is_refused";
const ABORT: &str = "abort_stops_a_session_that_waits";
const STRANGER: &str = "another_caller_can_not_answer";

pub(in super::super) const INPUTS: &[Mutant] = &[
    Mutant::new(
        "an answer is accepted, and lost",
        Fault::Exchange(|upstream, request| {
            async move {
                if !answers(request.uri().path()) || request.method() != Method::POST {
                    return upstream.call(request).await;
                }
                accepted()
            }
            .boxed()
        }),
        &[ONCE, FITS, ASKED, LATE, STRANGER],
    )
    .only(),
    Mutant::new(
        "an answer is 200",
        Fault::Head(|asked, head| {
            if answers(asked.uri.path()) && head.status == StatusCode::ACCEPTED {
                head.status = StatusCode::OK;
            }
        }),
        &[GOES_ON, ONCE, FITS],
    )
    .only(),
    Mutant::new(
        "an answer that comes second is accepted",
        Fault::Head(|asked, head| {
            if answers(asked.uri.path()) && head.status == StatusCode::CONFLICT {
                head.status = StatusCode::ACCEPTED;
            }
        }),
        &[ONCE, LATE],
    )
    .only(),
    Mutant::new(
        "an answer that is repeated is a conflict",
        Fault::Exchange(|upstream, request| {
            async move {
                let again = answers(request.uri().path());
                let (mut head, body) = request.into_parts();
                if again && !upstream.is_new_name(&head.uri.to_string()) {
                    let other = json!({"action": "accept", "content": "something else"});
                    head.headers.remove("content-length");
                    let request = Request::from_parts(head, Body::from(other.to_string()));
                    return upstream.call(request).await;
                }
                upstream.call(Request::from_parts(head, body)).await
            }
            .boxed()
        }),
        &[ONCE],
    )
    .only(),
    Mutant::new(
        "a declined question is accepted",
        Fault::Exchange(|upstream, request| {
            async move {
                if !answers(request.uri().path()) {
                    return upstream.call(request).await;
                }
                let (mut head, body) = request.into_parts();
                let bytes = body
                    .collect()
                    .await
                    .map(http_body_util::Collected::to_bytes);
                let bytes = bytes.unwrap_or_default();
                let body = match serde_json::from_slice::<Value>(&bytes) {
                    Ok(mut answer) if answer["action"] == "decline" => {
                        answer["action"] = "accept".into();
                        answer["content"] = json!({"days": 1});
                        Body::from(answer.to_string())
                    }
                    _ => Body::from(bytes),
                };
                head.headers.remove("content-length");
                upstream.call(Request::from_parts(head, body)).await
            }
            .boxed()
        }),
        &[HEARD],
    )
    .only(),
    Mutant::new(
        "questions come without their schema",
        Fault::Stream(|_, items| {
            items
                .map(|item| {
                    item.map(|item| {
                        item.map(|event| {
                            if event.is("input_request") {
                                event.edit(|event| {
                                    event.as_object_mut().map(|it| it.remove("schema"));
                                });
                            }
                        })
                    })
                })
                .boxed()
        }),
        &[GOES_ON],
    ),
    Mutant::new(
        "an unknown question is reported as an absent session",
        Fault::Document(|_, document| {
            if document["type"] == "urn:unbroken:no-such-input" {
                document["type"] = "urn:unbroken:not-found".into();
            }
        }),
        &[ASKED, LATE],
    )
    .only(),
    Mutant::new(
        "a refusal of an answer doesn't say where it is wrong",
        Fault::Document(|_, document| {
            if document["type"] == "urn:unbroken:unfit-answer" {
                document["detail"] = "it doesn't fit".into();
            }
        }),
        &[FITS],
    )
    .only(),
    Mutant::new(
        "a session that waits says that it streams",
        Fault::Document(|_, document| {
            if document["status"] == "waiting" {
                document["status"] = "streaming".into();
            }
        }),
        &[GOES_ON, FITS, STRANGER],
    ),
    Mutant::new(
        "a timeout is reported as a cancellation",
        Fault::Stream(|_, items| {
            items
                .map(|item| {
                    item.map(|item: Item| {
                        item.map(|event| {
                            if event.is("input_resolved") && event.value()["action"] == "timeout" {
                                event.edit(|event| event["action"] = "cancel".into());
                            }
                        })
                    })
                })
                .boxed()
        }),
        &[LATE],
    )
    .only(),
    Mutant::new(
        "a session that waits can't be aborted",
        Fault::Exchange(|upstream, request| {
            async move {
                if request.uri().path().ends_with("/abort") {
                    accepted()
                } else {
                    upstream.call(request).await
                }
            }
            .boxed()
        }),
        &[ABORT],
    )
    .only(),
    Mutant::new(
        "a stranger may answer",
        Fault::Request(|head| {
            if answers(head.uri.path()) {
                head.headers.insert("x-user", "ann".parse().expect("ASCII"));
            }
        }),
        &[STRANGER],
    )
    .only(),
];

fn answers(path: &str) -> bool {
    path.contains("/inputs/")
}

fn accepted() -> axum::response::Response {
    let document = json!({"id": "?", "inputId": "?", "status": "waiting"});
    let mut response = axum::response::Response::new(Body::from(document.to_string()));
    *response.status_mut() = StatusCode::ACCEPTED;
    let json = "application/json".parse().expect("ASCII");
    response.headers_mut().insert("content-type", json);
    response
}
