//! Access policies over HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::Full;
use serde_json::json;
use tower_layer::Layer as _;
use unbroken::{
    BoxFuture,
    access::{Access, Action, Identified, OnlyTheOwner, SessionRef},
    durable::DurableLayer,
    log::{ChatId, Owner, SessionId},
    session::Sessions,
    store::{Memory, Seen, SessionState, Store, StoreError},
};
use unbroken_conformance::delegate_store;

use crate::{
    client::{With, empty, get, post, send},
    server::{Calls, MOUNT, Server, ask, at, id, mounted, provider, serve},
};

fn user(head: &mut Parts) -> Option<Owner> {
    head.headers.get("x-user")?.to_str().ok()?.parse().ok()
}

async fn owned() -> (Server, Calls) {
    owned_in(Memory::new()).await
}

async fn owned_in(store: impl Store) -> (Server, Calls) {
    let sessions = Sessions::builder(store).build();
    let (provider, calls) = provider();
    let layer = DurableLayer::new(sessions.clone(), OnlyTheOwner::new(user));
    (serve(sessions, mounted!(layer, provider)).await, calls)
}

fn requests(id: &str) -> Vec<Request<Full<Bytes>>> {
    vec![
        get(&at(id)),
        get(&at(id)).with("accept", "application/json"),
        empty("HEAD", &at(id)),
        empty("DELETE", &at(id)),
        empty("POST", &format!("{}/abort", at(id))),
        post(MOUNT, &ask("Hi"))
            .with("x-session-id", id)
            .with("x-last-lsn", "0"),
    ]
}

#[tokio::test]
async fn the_session_of_another_owner_looks_like_an_absent_one() {
    let (server, calls) = owned().await;
    let request = post(MOUNT, &ask("Hi")).with("x-session-id", id("anns"));
    let mut answer = send(server.addr, request.with("x-user", "ann")).await;
    let call = calls.next().await;
    answer.until("session_info").await;
    let deleted = post(MOUNT, &ask("Hi")).with("x-session-id", id("deleted"));
    send(server.addr, deleted.with("x-user", "ann")).await;
    calls.next().await;
    let delete = empty("DELETE", &at(&id("deleted"))).with("x-user", "ann");
    assert_eq!(send(server.addr, delete).await.status(), 204);

    for stranger in [Some("ben"), None] {
        let by = |request: Request<Full<Bytes>>| match stranger {
            Some(name) => request.with("x-user", name),
            None => request,
        };
        let there = requests(&id("anns")).into_iter().map(by);
        let buried = requests(&id("deleted")).into_iter().map(by);
        let nowhere = requests(&id("nobodys")).into_iter().map(by);
        for ((forbidden, gone), absent) in there.zip(buried).zip(nowhere) {
            let absent = send(server.addr, absent).await.whole().await;
            assert_eq!(absent.status(), 404);
            for other in [forbidden, gone] {
                let other = send(server.addr, other).await.whole().await;
                assert_eq!(other.status(), absent.status());
                assert_eq!(other.bytes, absent.bytes);
                let headers = |whole: &crate::client::Whole| {
                    let mut headers = whole.head.headers.clone();
                    headers.remove("date");
                    headers
                };
                assert_eq!(headers(&other), headers(&absent));
            }
        }
    }
    assert!(!call.is_dropped(), "nobody stopped it");
    let mine = get(&at(&id("deleted"))).with("x-user", "ann");
    assert_eq!(send(server.addr, mine).await.status(), 410);
}

/// A store that counts the looks at a session.
#[derive(Debug)]
struct CountingStore(Memory, Arc<AtomicUsize>);

impl Store for CountingStore {
    delegate_store!(
        0: durability, create, claim, renew, append, read, abort, answer, answers, hold, delete, of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        if seen == Seen::Nothing {
            self.1.fetch_add(1, SeqCst);
        }
        self.0.changed(id, seen, within)
    }
}

#[tokio::test]
async fn the_session_of_another_owner_costs_the_store_as_much_as_an_absent_one() {
    let looks = Arc::new(AtomicUsize::new(0));
    let (server, calls) = owned_in(CountingStore(Memory::new(), looks.clone())).await;
    let mut running = Vec::new();
    for name in ["runs", "ended"] {
        let request = post(MOUNT, &ask("Hi")).with("x-session-id", id(name));
        let mut answer = send(server.addr, request.with("x-user", "ann")).await;
        let call = calls.next().await;
        answer.until("session_info").await;
        if name == "ended" {
            drop(call);
            answer.whole().await;
        } else {
            running.push(call);
        }
    }
    let mut counts = Vec::new();
    for name in ["nobodys", "runs", "ended"] {
        let mut of_requests = Vec::new();
        // The last one asks for a start.
        for request in requests(&id(name)).into_iter().take(5) {
            let before = looks.load(SeqCst);
            let refused = send(server.addr, request.with("x-user", "ben")).await;
            assert_eq!(refused.whole().await.status(), 404);
            of_requests.push(looks.load(SeqCst) - before);
        }
        counts.push(of_requests);
    }
    assert!(counts[0].iter().all(|&looks| looks > 0), "{counts:?}");
    assert_eq!(counts[1], counts[0], "a session that runs here");
    assert_eq!(counts[2], counts[0], "a session that has ended");
}

#[tokio::test]
async fn a_stranger_does_not_become_a_client_before_being_refused() {
    let store = Memory::new();
    let writer = Sessions::builder(store.clone()).build();
    let (provider, calls) = provider();
    let layer = DurableLayer::new(writer.clone(), OnlyTheOwner::new(user));
    let first = serve(writer, mounted!(layer, provider)).await;
    let start = |user| {
        post(MOUNT, &ask("Hi"))
            .with("x-session-id", id("anns"))
            .with("x-user", user)
    };
    let mut answer = send(first.addr, start("ann")).await;
    let _call = calls.next().await;
    answer.until("session_info").await;

    let other = Sessions::builder(store).build();
    let (provider, calls) = crate::server::provider();
    let layer = DurableLayer::new(other.clone(), OnlyTheOwner::new(user));
    let second = serve(other, mounted!(layer, provider)).await;
    for request in [start("ben")].into_iter().chain(requests(&id("anns"))) {
        let asked = format!("{} {}", request.method(), request.uri());
        let refused = send(second.addr, request.with("x-user", "ben")).await;
        assert!(matches!(refused.status(), 404 | 409), "{asked}");
        assert_eq!(second.sessions.loaded(), 0, "{asked}");
    }
    assert_eq!(send(second.addr, start("ann")).await.status(), 200);
    assert_eq!(second.sessions.loaded(), 1, "its owner is let in");
    assert!(calls.none().await);
}

#[tokio::test]
async fn an_owner_may_do_everything_and_others_may_not_use_the_id() {
    let (server, calls) = owned().await;
    let start = |user| {
        post(MOUNT, &ask("Hi"))
            .with("x-session-id", id("anns"))
            .with("x-user", user)
    };
    assert_eq!(send(server.addr, start("ann")).await.status(), 200);
    let call = calls.next().await;
    assert_eq!(call.request.owner, Some(Owner::new("ann")));
    let taken = send(server.addr, start("ben")).await.whole().await;
    assert_eq!(taken.status(), 409);
    for request in requests(&id("anns")) {
        let status = send(server.addr, request.with("x-user", "ann"))
            .await
            .status();
        assert!(matches!(status, 200 | 202 | 204 | 410), "{status}");
    }
    let taken = send(server.addr, start("ben")).await.whole().await;
    assert_eq!(taken.status(), 409, "also once it is gone");
    assert!(calls.none().await);
}

#[tokio::test]
async fn a_request_without_an_owner_may_not_start_or_list() {
    let (server, calls) = owned().await;
    for request in [post(MOUNT, &ask("Hi")), get(MOUNT)] {
        let refused = send(server.addr, request).await.whole().await;
        assert_eq!(refused.status(), 403);
        assert_eq!(refused.json()["type"], "urn:unbroken:forbidden");
    }
    assert!(calls.none().await);
}

/// A policy that allows everything.
#[derive(Debug)]
struct Open;

impl Access for Open {
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
        Box::pin(async move { Ok(user(head)) })
    }

    fn allow<'a>(
        &'a self,
        _: Option<&'a Owner>,
        _: Action,
        _: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool> {
        Box::pin(async { true })
    }

    fn names_owners(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_list_without_an_owner_is_refused_under_every_policy() {
    let sessions = Sessions::in_memory();
    let (provider, calls) = provider();
    let layer = DurableLayer::new(sessions.clone(), Open);
    let server = serve(sessions, mounted!(layer, provider)).await;
    for user in [Some("ann"), None] {
        let request = post(MOUNT, &ask("Hi"));
        let request = match user {
            Some(user) => request.with("x-user", user),
            None => request,
        };
        assert_eq!(send(server.addr, request).await.status(), 200);
        calls.next().await;
    }
    assert_eq!(send(server.addr, get(MOUNT)).await.status(), 403);
    let anns = get(MOUNT).with("x-user", "ann");
    let page = send(server.addr, anns).await.whole().await.json();
    assert_eq!(page["sessions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_has_the_callers_own_sessions_newest_first() {
    let (server, calls) = owned().await;
    for (name, user, chat) in [
        ("one", "ann", "c-1"),
        ("two", "ben", "c-1"),
        ("three", "ann", "c-2"),
        ("four", "ann", "c-1"),
    ] {
        let body = json!({"messages": [{"role": "user", "content": "Hi"}], "chatId": chat});
        let request = post(MOUNT, &body).with("x-session-id", id(name));
        let answer = send(server.addr, request.with("x-user", user)).await;
        let call = calls.next().await;
        if name == "one" {
            drop(call);
            answer.whole().await;
        } else {
            // Kept running.
            std::mem::forget(call);
        }
    }
    let list = async |query: &str| {
        let request = get(&format!("{MOUNT}{query}")).with("x-user", "ann");
        let page = send(server.addr, request).await.whole().await;
        assert_eq!(page.status(), 200);
        page.json()
    };
    let ids = |page: &serde_json::Value| -> Vec<String> {
        let sessions = page["sessions"].as_array().unwrap();
        let id = |it: &serde_json::Value| it["id"].as_str().unwrap().to_owned();
        sessions.iter().map(id).collect()
    };
    let all = list("").await;
    assert_eq!(ids(&all), [id("four"), id("three"), id("one")]);
    assert_eq!(all["sessions"][2]["status"], "complete");
    assert_eq!(all["sessions"][2]["tail"], 2);
    assert_eq!(all["sessions"][1]["chatId"], "c-2");
    assert_eq!(ids(&list("?chat=c-1").await), [id("four"), id("one")]);
    assert_eq!(ids(&list("?status=complete").await), [id("one")]);
    let first = list("?limit=2").await;
    assert_eq!(ids(&first).len(), 2);
    let next = first["next"].as_str().unwrap();
    let rest = list(&format!("?limit=2&after={next}")).await;
    assert_eq!(ids(&rest), [id("one")]);
    assert_eq!(rest["next"], json!(null));
    let nowhere = list("?after=a-token-of-another-store").await;
    assert_eq!(ids(&nowhere), [""; 0], "not the first page once more");
    assert_eq!(nowhere["next"], json!(null));
}

/// Responds to requests without an owner itself, and closes the chat `closed` for starts.
#[derive(Debug)]
struct Strict;

impl Access for Strict {
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            head.extensions.insert(7_u8);
            user(head).map(Some).ok_or_else(|| {
                Response::builder()
                    .status(401)
                    .header("www-authenticate", "Bearer")
                    .body(Bytes::from_static(b"who are you?"))
                    .unwrap()
            })
        })
    }

    fn allow<'a>(
        &'a self,
        _: Option<&'a Owner>,
        action: Action,
        session: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool> {
        let chat = session.and_then(|it| it.chat).map(ChatId::as_str);
        let allowed = !(action == Action::Start && chat == Some("closed"));
        Box::pin(async move { allowed })
    }

    fn names_owners(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn the_applications_own_response_is_sent_and_its_policy_sees_the_chat() {
    let sessions = Sessions::in_memory();
    let (provider, calls) = provider();
    let layer = DurableLayer::new(sessions.clone(), Strict);
    let server = serve(sessions, mounted!(layer, provider)).await;
    let whole = send(server.addr, post(MOUNT, &ask("Hi")))
        .await
        .whole()
        .await;
    assert_eq!(whole.status(), 401);
    assert_eq!(whole.header("www-authenticate"), "Bearer");
    assert_eq!(whole.text(), "who are you?");
    let options = send(server.addr, empty("OPTIONS", MOUNT)).await;
    assert_eq!(
        options.status(),
        204,
        "browsers ask that without credentials"
    );

    let start = |chat: &str| {
        let body = json!({"messages": [{"role": "user", "content": "Hi"}], "chatId": chat});
        post(MOUNT, &body).with("x-user", "ann")
    };
    assert_eq!(send(server.addr, start("closed")).await.status(), 403);
    assert_eq!(send(server.addr, start("open")).await.status(), 200);
    let call = calls.next().await;
    assert_eq!(call.request.chat_id, Some(ChatId::new("open")));
    assert_eq!(call.request.extensions.get(), Some(&7_u8));
    assert!(calls.none().await);
}
