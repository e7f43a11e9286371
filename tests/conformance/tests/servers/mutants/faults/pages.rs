use std::time::Duration;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, Method},
    response::Response,
};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::{
    super::mutant::{Fault, Mutant},
    query::query,
};

const SAME: &str = "a_page_has_the_events_of_the_stream";
const FOLLOW: &str = "pages_together_have_every_event_once";
const LIST: &str = "a_list_has_the_callers_sessions_newest_first";

pub(in super::super) const PAGES: &[Mutant] = &[
    Mutant::new(
        "next is one too high",
        Fault::Document(|_, page| {
            if let Some(next) = page["next"].as_u64() {
                page["next"] = (next + 1).into();
            }
        }),
        &[SAME, FOLLOW],
    ),
    Mutant::new(
        "next is missing where nothing is new",
        Fault::Document(|_, page| {
            if page["events"].as_array().is_some_and(Vec::is_empty) {
                page["next"] = Value::Null;
            }
        }),
        &[FOLLOW],
    ),
    Mutant::new(
        "the tail of a page is where it ends",
        Fault::Document(|_, page| {
            if page["events"].is_array() {
                page["tail"] = page["next"].clone();
            }
        }),
        &[FOLLOW],
    ),
    Mutant::new(
        "a page is always streaming",
        Fault::Document(|_, page| {
            if page["events"].is_array() {
                page["status"] = "streaming".into();
            }
        }),
        &[SAME],
    ),
    Mutant::new(
        "a page has its events in another order",
        Fault::Document(|_, page| {
            if let Some(events) = page["events"].as_array_mut() {
                events.reverse();
            }
        }),
        &[SAME, FOLLOW],
    ),
    Mutant::new(
        "a page has no LSNs",
        Fault::Document(|_, page| {
            if let Some(events) = page["events"].as_array_mut() {
                for event in events {
                    *event = event["event"].take();
                }
            }
        }),
        &[SAME, FOLLOW],
    ),
    Mutant::new(
        "?limit is ignored",
        Fault::Request(|head| {
            query(head, |name, value| {
                (name != "limit").then(|| value.to_owned())
            });
        }),
        &[FOLLOW, LIST],
    ),
    Mutant::new(
        "a page doesn't wait",
        Fault::Request(|head| {
            query(head, |name, value| {
                (name != "wait").then(|| value.to_owned())
            });
        }),
        &[
            "a_page_waits_for_the_first_new_event",
            "a_page_without_new_events_is_empty_after_its_wait",
        ],
    ),
    Mutant::new(
        "a page waits even after the end",
        Fault::Exchange(|upstream, request| {
            async move {
                let waits = request.uri().query().is_some_and(|it| it.contains("wait"));
                let response = upstream.call(request).await;
                let (head, body) = response.into_parts();
                if !waits {
                    return Response::from_parts(head, body);
                }
                let page = body.collect().await.expect("a document").to_bytes();
                let value: Value = serde_json::from_slice(&page).unwrap_or_default();
                if value["events"].as_array().is_some_and(Vec::is_empty) {
                    tokio::time::sleep(Duration::from_secs(6)).await;
                }
                Response::from_parts(head, page.into())
            }
            .boxed()
        }),
        &["a_page_of_an_ended_session_does_not_wait"],
    ),
    Mutant::new(
        "a list has the oldest first",
        Fault::Document(|_, list| {
            if let Some(sessions) = list["sessions"].as_array_mut() {
                sessions.reverse();
            }
        }),
        &[LIST],
    ),
    Mutant::new(
        "a list has the sessions of every owner",
        Fault::Exchange(|upstream, request| {
            async move {
                let (mut head, body) = request.into_parts();
                if head.method != Method::GET || head.uri.path() != "/" {
                    return upstream.call(Request::from_parts(head, body)).await;
                }
                let mut lists = Vec::new();
                for user in ["ben", "ann"] {
                    head.headers
                        .insert("x-user", HeaderValue::from_static(user));
                    let list = upstream
                        .call(Request::from_parts(head.clone(), Body::empty()))
                        .await;
                    let (head, body) = list.into_parts();
                    let list = body.collect().await.expect("a document").to_bytes();
                    lists.push((
                        head,
                        serde_json::from_slice::<Value>(&list).unwrap_or_default(),
                    ));
                }
                let (mut head, mut list) = lists.pop().expect("two lists");
                let (_, mut other) = lists.pop().expect("two lists");
                if let (Some(all), Some(others)) = (
                    list["sessions"].as_array_mut(),
                    other["sessions"].as_array_mut(),
                ) {
                    all.append(others);
                }
                head.headers.remove("content-length");
                Response::from_parts(head, list.to_string().into())
            }
            .boxed()
        }),
        &[LIST],
    ),
    Mutant::new(
        "a list has all chats",
        Fault::Request(|head| {
            query(head, |name, value| {
                (name != "chat").then(|| value.to_owned())
            });
        }),
        &[LIST],
    ),
    Mutant::new(
        "a list has any status",
        Fault::Request(|head| {
            query(head, |name, value| {
                (name != "status").then(|| value.to_owned())
            });
        }),
        &[LIST],
    ),
    Mutant::new(
        "every page of a list is the first",
        Fault::Request(|head| {
            if head.uri.path() == "/" {
                query(head, |name, value| {
                    (name != "after").then(|| value.to_owned())
                });
            }
        }),
        &[LIST],
    ),
    Mutant::new(
        "the last page of a list has a next",
        Fault::Document(|_, list| {
            if list["sessions"].is_array() && list["next"].is_null() {
                list["next"] = "more".into();
            }
        }),
        &[LIST],
    ),
];
