use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use futures_util::{FutureExt as _, StreamExt as _};
use http_body::Frame;
use http_body_util::BodyExt as _;
use serde_json::json;
use unbroken::{
    headers::{LAST_LSN, SESSION_ID},
    log::SessionId,
    session::Sessions,
    store::AbortRequest,
};

use super::{
    super::{
        items::{Item, join_items, split_items},
        mutant::{Fault, Mutant},
    },
    query::header as rewrite,
};

const ATTACHES: &str = "the_same_request_under_the_same_id_attaches";
const RACES: &str = "of_racing_starts_one_calls_the_provider";
const MINE: &str = "a_client_may_choose_the_id";
const CONFLICT: &str = "another_request_under_the_same_id_is_a_conflict";
const ABORT: &str = "abort_ends_the_session_for_every_reader";
const HANGS: &str = "abort_stops_a_provider_that_hangs";
const DELETED: &str = "a_deleted_session_is_stopped_and_gone";
const ENDED: &str = "abort_of_an_ended_session_changes_nothing";

pub(in super::super) const SESSIONS: &[Mutant] = &[
    Mutant::new(
        "a disconnect stops the session",
        Fault::Exchange(|upstream, request| {
            async move {
                let sessions = upstream.sessions.clone();
                let response = upstream.call(request).await;
                let id = response.headers().get(SESSION_ID);
                let Some(id) = id.and_then(|id| id.to_str().ok()?.parse().ok()) else {
                    return response;
                };
                response.map(|body| {
                    Body::new(Left {
                        body,
                        ended: false,
                        id,
                        sessions,
                    })
                })
            }
            .boxed()
        }),
        &["a_disconnect_stops_nothing"],
    ),
    Mutant::new(
        "a start that is repeated calls the provider again",
        Fault::Exchange(|upstream, request| {
            async move {
                if !upstream.repeats(&request) {
                    return upstream.call(request).await;
                }
                let (request, copy) = twice(request).await;
                upstream
                    .call(with_id(copy, SessionId::random().as_str()))
                    .await;
                upstream.call(request).await
            }
            .boxed()
        }),
        &[ATTACHES, RACES],
    ),
    Mutant::new(
        "every start calls the provider twice",
        Fault::Exchange(|upstream, request| {
            async move {
                let (request, copy) = twice(request).await;
                if request.method() == Method::POST && request.uri().path() == "/" {
                    upstream
                        .call(with_id(copy, SessionId::random().as_str()))
                        .await;
                }
                upstream.call(request).await
            }
            .boxed()
        }),
        &[ATTACHES, RACES, "a_disconnect_stops_nothing"],
    ),
    Mutant::new(
        "a start that is repeated reads from the tail",
        Fault::Exchange(|upstream, mut request| {
            async move {
                if upstream.repeats(&request) && !request.headers().contains_key(LAST_LSN) {
                    request.headers_mut().insert(LAST_LSN, 1.into());
                }
                upstream.call(request).await
            }
            .boxed()
        }),
        &[ATTACHES],
    ),
    Mutant::new(
        "a start that is repeated is a conflict",
        Fault::Exchange(|upstream, request| {
            async move {
                let (mut head, body) = request.into_parts();
                let request = Request::from_parts(head.clone(), body);
                if upstream.repeats(&request) && !head.headers.contains_key(LAST_LSN) {
                    let json = HeaderValue::from_static("application/json");
                    head.headers.insert(header::CONTENT_TYPE, json);
                    let other =
                        json!({"messages": [{"role": "user", "content": "Other"}]}).to_string();
                    return upstream.call(Request::from_parts(head, other.into())).await;
                }
                upstream.call(request).await
            }
            .boxed()
        }),
        &[ATTACHES, RACES],
    ),
    Mutant::new(
        "the id of a client isn't used",
        Fault::Request(|head| {
            if starts(head) {
                head.headers.remove(SESSION_ID);
            }
        }),
        &[MINE, ATTACHES, RACES],
    ),
    Mutant::new(
        "ids of clients become lower case",
        Fault::Request(|head| rewrite(head, &SESSION_ID, str::to_ascii_lowercase)),
        &[MINE],
    ),
    Mutant::new(
        "a malformed id of a client is ignored",
        Fault::Request(|head| {
            let id = head.headers.get(SESSION_ID).and_then(|id| id.to_str().ok());
            if id.is_some_and(|id| id.parse::<SessionId>().is_err()) {
                head.headers.remove(SESSION_ID);
            }
        }),
        &[
            "a_short_or_malformed_id_is_refused",
            "a_refusal_starts_nothing",
        ],
    ),
    Mutant::new(
        "ids of the server are a counter",
        Fault::Exchange(|upstream, request| {
            async move {
                if !starts_nameless(&request) {
                    return upstream.call(request).await;
                }
                let mut request = request;
                for n in 0.. {
                    request = with_id(request, &format!("session-{n:020}"));
                    if !upstream.repeats(&request) {
                        break;
                    }
                }
                upstream.call(request).await
            }
            .boxed()
        }),
        &["ids_that_the_server_makes_are_random"],
    ),
    Mutant::new(
        "another request under the same id attaches",
        Fault::Exchange(|upstream, request| {
            async move {
                let id = request.headers().get(SESSION_ID).cloned();
                let user = request.headers().get("x-user").cloned();
                let response = upstream.call(request).await;
                match (response.status(), id, user) {
                    (StatusCode::CONFLICT, Some(id), Some(user)) => {
                        let id = id.to_str().expect("ASCII");
                        upstream.call(ask(Method::GET, id, "", &user)).await
                    }
                    _ => response,
                }
            }
            .boxed()
        }),
        &[CONFLICT, "an_id_of_another_owner_is_a_conflict"],
    ),
    Mutant::new(
        "another request under the same id takes its place",
        Fault::Exchange(|upstream, request| {
            async move {
                let (request, copy) = twice(request).await;
                let response = upstream.call(request).await;
                if response.status() == StatusCode::CONFLICT {
                    return upstream
                        .call(with_id(copy, SessionId::random().as_str()))
                        .await;
                }
                response
            }
            .boxed()
        }),
        &[CONFLICT],
    ),
    Mutant::new(
        "a session has the events of another",
        Fault::Exchange(|upstream, request| {
            async move {
                let starting = starts_nameless(&request);
                let response = upstream.call(request).await;
                if !starting || response.status() != StatusCode::OK {
                    return response;
                }
                let id = response.headers()[SESSION_ID].clone();
                let first = upstream.first(id.to_str().expect("ASCII"));
                let user = HeaderValue::from_static("ann");
                let mut other = upstream.call(ask(Method::GET, first, "", &user)).await;
                other.headers_mut().insert(SESSION_ID, id);
                other
            }
            .boxed()
        }),
        &["concurrent_sessions_do_not_mix"],
    ),
    Mutant::new(
        "an abort is accepted, and stops nothing",
        Fault::Exchange(|upstream, request| {
            async move {
                let path = request.uri().path().to_owned();
                match path.trim_start_matches('/').strip_suffix("/abort") {
                    Some(id) if request.method() == Method::POST => {
                        let user = request.headers()["x-user"].clone();
                        let mut response = upstream.call(ask(Method::GET, id, "", &user)).await;
                        if response.status() == StatusCode::OK {
                            *response.status_mut() = StatusCode::ACCEPTED;
                            let document = json!({"id": id, "status": "streaming", "tail": 1});
                            response = response.map(|_| document.to_string().into());
                        }
                        response
                    }
                    _ => upstream.call(request).await,
                }
            }
            .boxed()
        }),
        &[ABORT, HANGS],
    ),
    Mutant::new(
        "an abort is 200 the first time",
        Fault::Head(|asked, head| {
            if aborts(asked) && head.status == StatusCode::ACCEPTED {
                head.status = StatusCode::OK;
            }
        }),
        &[ABORT, HANGS],
    ),
    Mutant::new(
        "an abort is 202 every time",
        Fault::Head(|asked, head| {
            if aborts(asked) && head.status == StatusCode::OK {
                head.status = StatusCode::ACCEPTED;
            }
        }),
        &[ABORT, ENDED],
    ),
    Mutant::new(
        "an abort of an ended session is a conflict",
        Fault::Head(|asked, head| {
            if aborts(asked) && head.status == StatusCode::OK {
                head.status = StatusCode::CONFLICT;
            }
        }),
        &[ABORT, ENDED],
    ),
    Mutant::new(
        "an abort always answers the status aborted",
        Fault::Document(|asked, document| {
            if aborts(asked) && document["id"].is_string() {
                document["status"] = "aborted".into();
            }
        }),
        &[ENDED],
    ),
    Mutant::new(
        "a deletion keeps the session",
        Fault::Exchange(|upstream, request| {
            async move {
                if request.method() != Method::DELETE {
                    return upstream.call(request).await;
                }
                let user = request.headers()["x-user"].clone();
                let id = request.uri().path().trim_start_matches('/').to_owned();
                let mut response = upstream.call(ask(Method::POST, &id, "/abort", &user)).await;
                if response.status().is_success() {
                    response = response.map(|_| Body::empty());
                    response.headers_mut().clear();
                    *response.status_mut() = StatusCode::NO_CONTENT;
                }
                response
            }
            .boxed()
        }),
        &[DELETED, "an_ended_session_can_be_deleted"],
    ),
    Mutant::new(
        "a late retry of a deleted session starts it again",
        Fault::Exchange(|upstream, request| {
            async move {
                let (request, copy) = twice(request).await;
                let response = upstream.call(request).await;
                if response.status() == StatusCode::GONE
                    && copy.method() == Method::POST
                    && copy.uri().path() == "/"
                {
                    return upstream
                        .call(with_id(copy, SessionId::random().as_str()))
                        .await;
                }
                response
            }
            .boxed()
        }),
        &[DELETED],
    ),
    Mutant::new(
        "a deletion can't be repeated",
        Fault::Exchange(|upstream, request| {
            async move {
                let method = request.method().clone();
                let (head, body) = request.into_parts();
                if method == Method::DELETE {
                    let user = head.headers["x-user"].clone();
                    let id = head.uri.path().trim_start_matches('/').to_owned();
                    let there = upstream.call(ask(Method::GET, &id, "", &user)).await;
                    if there.status() == StatusCode::GONE {
                        return there;
                    }
                }
                upstream.call(Request::from_parts(head, body)).await
            }
            .boxed()
        }),
        &[DELETED],
    ),
    Mutant::new(
        "a provider that fails at once is 500",
        Fault::Exchange(|upstream, request| {
            async move {
                let starting = request.method() == Method::POST;
                let (head, body) = upstream.call(request).await.into_parts();
                if !starting
                    || head.status != StatusCode::OK
                    || !head.headers.contains_key(SESSION_ID)
                {
                    return Response::from_parts(head, body);
                }
                let server_sent = head.headers[header::CONTENT_TYPE] == "text/event-stream";
                let items = split_items(body, server_sent).peekable();
                let mut items = Box::pin(items);
                let mut begun = Vec::new();
                for _ in 0..2 {
                    let soon = std::time::Duration::from_millis(50);
                    if let Ok(Some(item)) = tokio::time::timeout(soon, items.next()).await {
                        begun.push(item);
                    }
                }
                let failed = |item: &_| matches!(item, Ok(Item::Event(event)) if event.is("error"));
                if begun.iter().any(failed) {
                    let mut response = Response::new(Body::empty());
                    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                    return response;
                }
                let items = futures_util::stream::iter(begun).chain(items);
                Response::from_parts(head, join_items(items.boxed()))
            }
            .boxed()
        }),
        &["a_provider_error_before_the_first_event_is_200_and_a_terminal_event"],
    ),
    Mutant::new(
        "a client that wants JSON waits for the end",
        Fault::Exchange(|upstream, request| {
            async move {
                let response = upstream.call(request).await;
                if response.status() == StatusCode::CREATED {
                    let id = response.headers()[SESSION_ID]
                        .to_str()
                        .expect("ASCII")
                        .to_owned();
                    let user = HeaderValue::from_static("ann");
                    let stream = upstream.call(ask(Method::GET, &id, "", &user)).await;
                    let _ = stream.into_body().collect().await;
                }
                response
            }
            .boxed()
        }),
        &["the_head_and_session_info_come_while_the_provider_is_silent"],
    ),
];

fn starts(head: &Parts) -> bool {
    head.method == Method::POST && head.uri.path() == "/"
}

fn aborts(head: &Parts) -> bool {
    head.uri.path().ends_with("/abort")
}

fn starts_nameless(request: &Request) -> bool {
    let named = request.headers().contains_key(SESSION_ID)
        || request.headers().contains_key(LAST_LSN)
        || request.uri().query().is_some();
    request.method() == Method::POST && request.uri().path() == "/" && !named
}

fn ask(method: Method, id: &str, below: &str, user: &HeaderValue) -> Request {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = format!("/{id}{below}").parse().expect("a path");
    request.headers_mut().insert("x-user", user.clone());
    request
}

/// Duplicates a request.
async fn twice(request: Request) -> (Request, Request) {
    let (head, body) = request.into_parts();
    // Bodies that are too slow become empty; no case needs them with these faults.
    let bytes = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let one = Request::from_parts(head.clone(), bytes.clone().into());
    (one, Request::from_parts(head, bytes.into()))
}

fn with_id(mut request: Request, id: &str) -> Request {
    let id = HeaderValue::from_str(id).expect("ASCII");
    request.headers_mut().insert(SESSION_ID, id);
    request
}

/// A body that aborts its session if it is dropped before its end.
struct Left {
    body: Body,
    ended: bool,
    id: SessionId,
    sessions: Sessions,
}

impl Drop for Left {
    fn drop(&mut self) {
        if !self.ended {
            let (id, sessions) = (self.id.clone(), self.sessions.clone());
            tokio::spawn(async move { sessions.abort(&id, AbortRequest::default()).await });
        }
    }
}

impl HttpBody for Left {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let next = Pin::new(&mut self.body).poll_frame(cx);
        self.ended |= matches!(next, Poll::Ready(None));
        next
    }
}
