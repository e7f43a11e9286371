//! Bodies are streamed in both directions, and a cut body fails.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, Version};
use tower_layer::Layer as _;
use tower_service::Service;
use unbroken::{session::Sessions, store::Memory};
use unbroken_warp::{RequestBody, mount};
use warp::Filter;

use crate::{
    client::{BOTH, With, empty, open_ended, post, send},
    server::{Calls, Server, driven, layer, question, serve},
};

async fn chat(sessions: &Sessions) -> (Server, Calls) {
    let (provider, calls) = driven();
    let chat = mount(layer(sessions).max_body(1000).layer(provider));
    (serve!(warp::path!("api" / "chat" / ..).and(chat)), calls)
}

#[tokio::test]
async fn the_head_leaves_while_the_provider_is_silent_and_each_event_as_it_comes() {
    for version in BOTH {
        let (server, calls) = chat(&Sessions::in_memory()).await;
        let mut answer = send(server.addr, version, post("/api/chat", &question())).await;
        assert_eq!(answer.status(), 200);
        let call = calls.next().await;
        answer.until("session_info").await;
        call.say("Hel");
        assert!(!answer.until("Hel").await.contains("lo\""));
        call.say("lo");
        answer.until("lo\"").await;
        drop(call);
        let whole = answer.whole().await;
        assert!(whole.clean);
        assert!(whole.text().ends_with("\"stop\"}}\n"));
    }
}

#[tokio::test]
async fn a_body_that_can_not_continue_fails_at_the_client() {
    for version in BOTH {
        let store = Memory::new();
        let sessions = Sessions::builder(store.clone()).build();
        let (server, calls) = chat(&sessions).await;
        let mut answer = send(server.addr, version, post("/api/chat", &question())).await;
        let call = calls.next().await;
        call.say("Hello");
        answer.until("Hello").await;
        sessions.shutdown(Duration::from_millis(20)).await;
        assert!(!answer.whole().await.clean, "{version:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_its_end() {
    for version in BOTH {
        let (server, _calls) = chat(&Sessions::in_memory()).await;
        let start = || empty("POST", "/api/chat").with("content-type", "application/json");
        let (rest, request) = open_ended(start());
        let answering = tokio::spawn(send(server.addr, version, request));
        rest.send(vec![b' '; 600]);
        rest.send(vec![b' '; 600]);
        let answer = answering.await.unwrap();
        assert_eq!(answer.status(), 413, "{version:?}");

        // A body whose announced length is too large is refused before it is sent.
        let (rest, request) = open_ended(start().with("content-length", "1001"));
        let answer = send(server.addr, version, request).await;
        assert_eq!(answer.status(), 413, "{version:?}");
        drop(rest);
    }
}

#[tokio::test]
async fn a_body_needs_no_length() {
    for version in BOTH {
        let (server, calls) = chat(&Sessions::in_memory()).await;
        let (rest, request) = open_ended(post("/api/chat", &question()));
        let answering = tokio::spawn(send(server.addr, version, request));
        let text = question().to_string();
        let (one, other) = text.split_at(9);
        rest.send(one.to_owned());
        rest.send(other.to_owned());
        drop(rest);
        assert_eq!(answering.await.unwrap().status(), 200, "{version:?}");
        calls.next().await;
    }
}

/// A service that answers with the body of its request.
#[derive(Clone)]
struct Echo;

impl Service<Request<RequestBody>> for Echo {
    type Response = Response<RequestBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<RequestBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        ready(Ok(Response::new(request.into_body())))
    }
}

#[tokio::test]
async fn bodies_are_streamed_both_ways() {
    for version in BOTH {
        let server = serve!(mount(Echo));
        let (rest, request) = open_ended(empty("POST", "/"));
        rest.send("one");
        let mut answer = send(server.addr, version, request).await;
        assert_eq!(answer.until("one").await, "one");
        rest.send("two");
        assert_eq!(answer.until("two").await, "onetwo");
        drop(rest);
        let whole = answer.whole().await;
        assert!(whole.clean);
        assert_eq!(whole.header("content-length"), "", "{version:?}");
    }
}

#[tokio::test]
async fn lengths_are_kept() {
    for version in BOTH {
        let server = serve!(mount(Echo));
        let ping = post("/", &"ping".into());
        let whole = send(server.addr, version, ping).await.whole().await;
        assert_eq!((whole.text(), whole.clean), ("\"ping\"", true));
        assert_eq!(whole.header("content-length"), "6", "{version:?}");
    }
    let server = serve!(mount(Echo));
    let nothing = send(server.addr, Version::HTTP_11, empty("POST", "/")).await;
    let nothing = nothing.whole().await;
    assert_eq!((nothing.text(), nothing.clean), ("", true));
}
