use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, request::Parts},
};
use futures_util::FutureExt as _;

use super::super::mutant::{Fault, Mutant, ServiceKind};

const ANOTHERS: &str = "a_session_of_another_owner_looks_absent";
const CHATS: &str = "a_chat_id_leads_no_other_caller_to_a_session";

pub(in super::super) const ACCESS: &[Mutant] = &[
    Mutant::new(
        "a stranger gets 403",
        Fault::Head(|asked, head| {
            if is_stranger(&asked.headers) && head.status == StatusCode::NOT_FOUND {
                head.status = StatusCode::FORBIDDEN;
            }
        }),
        &[ANOTHERS],
    ),
    Mutant::new(
        "a stranger reads",
        Fault::Request(|head| take_for_owner(head, &Method::GET, "")),
        &[ANOTHERS],
    ),
    Mutant::new(
        "a stranger aborts",
        Fault::Request(|head| take_for_owner(head, &Method::POST, "/abort")),
        &[ANOTHERS],
    ),
    Mutant::new(
        "a stranger deletes",
        Fault::Request(|head| take_for_owner(head, &Method::DELETE, "")),
        &[ANOTHERS],
    ),
    Mutant::new(
        "a stranger attaches",
        Fault::Request(|head| {
            if head.uri.path() == "/" {
                take_for_owner(head, &Method::POST, "");
            }
        }),
        &["an_id_of_another_owner_is_a_conflict", ANOTHERS],
    ),
    Mutant::new(
        "a session of another owner has a problem of its own",
        Fault::Exchange(|upstream, request| {
            async move {
                let (path, stranger) = (request.uri().clone(), is_stranger(request.headers()));
                let mut response = upstream.call(request).await;
                let mut mine = Request::new(Body::empty());
                *mine.uri_mut() = path;
                mine.headers_mut().insert("x-user", HeaderValue::from_static("ann"));
                if stranger && upstream.call(mine).await.status() == StatusCode::OK {
                    let problem = r#"{"type":"urn:unbroken:not-found","status":404,"title":"Not found","detail":"It is not yours."}"#;
                    response.headers_mut().remove("content-length");
                    response = response.map(|_| problem.into());
                }
                response
            }
            .boxed()
        }),
        &[ANOTHERS],
    ),
    Mutant::new(
        "a list of a chat has the sessions of every owner",
        Fault::Request(|head| {
            if head
                .uri
                .query()
                .is_some_and(|query| query.contains("chat="))
            {
                take_for_owner(head, &Method::GET, "/");
            }
        }),
        &[CHATS],
    ),
    Mutant::new(
        "the id of a chat stands for a session",
        Fault::Head(|asked, head| {
            if asked.uri.path().ends_with("/stop") {
                head.status = StatusCode::ACCEPTED;
            }
        }),
        &[CHATS],
    ),
    Mutant::new(
        "lists without owners have every session",
        Fault::Head(|asked, head| {
            if asked.method == Method::GET && asked.uri.path() == "/" {
                head.status = StatusCode::OK;
            }
        }),
        &["a_list_without_owners_is_403"],
    )
    .on(ServiceKind::Open),
];

fn is_stranger(headers: &HeaderMap) -> bool {
    headers.get("x-user").is_some_and(|user| user == "ben")
}

fn take_for_owner(head: &mut Parts, method: &Method, below: &str) {
    if head.method == *method && head.uri.path().ends_with(below) {
        head.headers
            .insert("x-user", HeaderValue::from_static("ann"));
    }
}
