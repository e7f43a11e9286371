//! Names that clients choose, of clients without an owner: what they lead to, and what not.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use axum::body::Body;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use serde_json::{Value, json};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_layer::Layer;
use unbroken::{
    BoxFuture,
    access::{Access, Action, AnyoneWithTheId, Identified, PeerAddr, PerPeer, SessionRef},
    dialect::{AgUi, AiSdk, DurableStreams},
    durable::{ClientFields, DurableLayer, SessionBody},
    log::{Owner, SessionId},
    provider::Scripted,
    session::{Limits, Sessions},
    store::Memory,
};

pub(super) type Chat = BoxCloneSyncService<Request<Body>, Response<SessionBody>, Infallible>;

/// As long as an id, and one character shorter.
pub(super) const SECRET: &str = "4kq8z1m0v7x2c5b9n3h6jr";
const SHORT: &str = "4kq8z1m0v7x2c5b9n3h6j";

/// A policy that names some owners, and allows everything.
#[derive(Debug, Clone)]
pub(super) struct SignedInOrNot;

impl Access for SignedInOrNot {
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
        let user = head.headers.get("x-user").and_then(|it| it.to_str().ok());
        let user = user.map(Owner::new);
        Box::pin(std::future::ready(Ok(user)))
    }

    fn allow<'a>(
        &'a self,
        _: Option<&'a Owner>,
        _: Action,
        _: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(true))
    }

    fn names_owners(&self) -> bool {
        true
    }
}

pub(super) fn mount(layer: DurableLayer) -> Chat {
    let layer = layer.client_fields(ClientFields::nothing().field("script"));
    BoxCloneSyncService::new(layer.layer(Scripted::default()))
}

pub(super) fn native(sessions: &Sessions) -> Chat {
    mount(DurableLayer::new(sessions.clone(), AnyoneWithTheId::new()))
}

pub(super) fn ai_sdk(sessions: &Sessions, access: impl Access) -> DurableLayer {
    DurableLayer::new(sessions.clone(), access).dialect(AiSdk::new())
}

pub(super) async fn ask(
    chat: &Chat,
    method: &str,
    uri: &str,
    body: &Value,
) -> Response<SessionBody> {
    ask_from("192.0.2.1", chat, method, uri, body).await
}

async fn ask_from(
    peer: &str,
    chat: &Chat,
    method: &str,
    uri: &str,
    body: &Value,
) -> Response<SessionBody> {
    let request = Request::builder().method(method).uri(uri);
    send(peer, chat, request, body).await
}

async fn send(
    peer: &str,
    chat: &Chat,
    request: http::request::Builder,
    body: &Value,
) -> Response<SessionBody> {
    let request = request
        .header(CONTENT_TYPE, "application/json")
        .extension(PeerAddr::new(peer.parse::<IpAddr>().unwrap()));
    let request = request.body(Body::from(body.to_string())).unwrap();
    chat.clone().oneshot(request).await.unwrap()
}

pub(super) fn native_start(chat: &str) -> Value {
    json!({
        "messages": [{"role": "user", "content": "Hi"}], "chatId": chat,
        "script": {"tokens": 100, "delayMs": 60_000},
    })
}

fn sdk_start(chat: &str) -> Value {
    let message = json!({"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]});
    json!({
        "id": chat, "messages": [message], "trigger": "submit-message",
        "script": {"tokens": 100, "delayMs": 60_000},
    })
}

/// The requests that find a session by its chat.
fn by_chat(chat: &str) -> [(&'static str, String, Value); 3] {
    let answer = json!({"action": "decline"});
    [
        ("GET", format!("/{chat}/stream"), Value::Null),
        (
            "POST",
            format!("/{chat}/inputs/an-input-of-some-session-1"),
            answer,
        ),
        ("POST", format!("/{chat}/stop"), Value::Null),
    ]
}

async fn assert_closed(chat: &Chat, name: &str) {
    for (method, uri, body) in by_chat(name) {
        let refused = ask(chat, method, &uri, &body).await;
        // A name as long as an id is taken for one by a route that answers a question.
        let absent = uri.contains("/inputs/") && name.parse::<SessionId>().is_ok();
        let status = if absent { 404 } else { 403 };
        assert_eq!(refused.status(), status, "{method} {uri}");
    }
    let refused = ask(chat, "POST", "/", &sdk_start(name)).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN, "a start in {name}");
}

/// The dialects that find sessions by the paths of chats.
pub(super) fn by_paths(sessions: &Sessions, access: impl Access + Clone) -> [DurableLayer; 2] {
    let layer = DurableLayer::new(sessions.clone(), access.clone());
    [
        ai_sdk(sessions, access),
        layer.dialect(DurableStreams::ui_messages(AiSdk::new())),
    ]
}

#[tokio::test]
async fn a_chat_id_leads_a_client_without_an_owner_to_nothing() {
    let sessions = Sessions::in_memory();
    let native = native(&sessions);
    for name in ["1", SECRET] {
        let started = ask(&native, "POST", "/", &native_start(name)).await;
        assert_eq!(started.status(), StatusCode::OK);
        for layer in by_paths(&sessions, SignedInOrNot) {
            assert_closed(&mount(layer), name).await;
        }
    }
    assert_eq!(sessions.running(), 2, "nothing was stopped or started");
}

#[tokio::test]
async fn a_secret_chat_id_leads_to_its_sessions_from_22_characters_on() {
    for at in 0..2 {
        let sessions = Sessions::in_memory();
        let native = native(&sessions);
        let [sdk, streams] = by_paths(&sessions, AnyoneWithTheId::new());
        let layer = [sdk, streams].into_iter().nth(at).unwrap();
        let chat = mount(layer.secret_chat_ids());
        for name in ["1", SHORT, "has-a-character/of-paths-0", SECRET] {
            let started = ask(&native, "POST", "/", &native_start(name)).await;
            assert_eq!(started.status(), StatusCode::OK);
        }
        for name in ["1", SHORT, "has-a-character%2Fof-paths-0"] {
            assert_closed(&chat, name).await;
        }
        assert_eq!(sessions.running(), 4);
        let resumed = ask(&chat, "GET", &format!("/{SECRET}/stream"), &Value::Null).await;
        assert!(resumed.status().as_u16() < 400, "{}", resumed.status());
        let busy = ask(&chat, "POST", "/", &sdk_start(SECRET)).await;
        assert_eq!(busy.status(), StatusCode::CONFLICT);
        let stopped = ask(&chat, "POST", &format!("/{SECRET}/stop"), &Value::Null).await;
        assert_eq!(stopped.status(), StatusCode::ACCEPTED);
    }
}

#[tokio::test]
async fn a_thread_id_leads_to_the_run_of_its_owner_or_to_a_secret_threads() {
    let sessions = Sessions::in_memory();
    let native = native(&sessions);
    for name in ["1", SECRET] {
        let started = ask(&native, "POST", "/", &native_start(name)).await;
        assert_eq!(started.status(), StatusCode::OK);
    }
    let ag_ui = |access| {
        let layer = DurableLayer::new(sessions.clone(), access);
        layer.dialect(AgUi::new())
    };
    let by_owner = mount(ag_ui(Arc::new(SignedInOrNot) as Arc<dyn Access>));
    let secret = ag_ui(Arc::new(AnyoneWithTheId::new()) as Arc<dyn Access>);
    let secret = mount(secret.service_name("secret").secret_chat_ids());
    for (chat, name, status) in [
        (&by_owner, "1", 403),
        (&by_owner, SECRET, 403),
        (&secret, "1", 403),
        (&secret, SHORT, 403),
        (&secret, SECRET, 200),
    ] {
        let uri = format!("/?threadId={name}");
        let found = ask(chat, "GET", &uri, &Value::Null).await;
        assert_eq!(found.status(), status, "{uri}");
    }
}

#[tokio::test]
async fn a_session_id_opens_its_session_where_chat_ids_open_none() {
    let sessions = Sessions::in_memory();
    let (native, sdk) = (native(&sessions), mount(ai_sdk(&sessions, SignedInOrNot)));
    let started = ask(&native, "POST", "/", &native_start("1")).await;
    let id = started.headers()["x-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    for name in [id.clone(), format!("{id}~0")] {
        let read = ask(&sdk, "GET", &format!("/{name}/stream"), &Value::Null).await;
        assert_eq!(read.status(), StatusCode::OK, "{name}");
        let input = format!("/{name}/inputs/an-input-of-some-session-1");
        let answer = json!({"action": "decline"});
        let answered = ask(&sdk, "POST", &input, &answer).await;
        assert_eq!(answered.status(), StatusCode::NOT_FOUND, "it asked nothing");
    }
    let stopped = ask(&sdk, "POST", &format!("/{id}/stop"), &Value::Null).await;
    assert_eq!(stopped.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_owner_per_peer_counts_as_none_for_names() {
    let sessions = Sessions::in_memory();
    let native = mount(DurableLayer::new(
        sessions.clone(),
        PerPeer::new(AnyoneWithTheId::new()),
    ));
    let sdk = mount(ai_sdk(&sessions, PerPeer::new(SignedInOrNot)));
    let started = ask(&native, "POST", "/", &native_start("1")).await;
    assert_eq!(started.status(), StatusCode::OK);
    // From the same address: a neighbour behind one NAT.
    assert_closed(&sdk, "1").await;
    assert_eq!(ask(&native, "GET", "/", &Value::Null).await.status(), 403);
    assert_eq!(sessions.running(), 1);
}

#[tokio::test]
async fn a_user_whose_name_looks_like_a_peer_is_a_user_without_that_policy_and_refused_with_it() {
    let sessions = Sessions::in_memory();
    let ask = async |chat: &Chat, user: Option<&str>, method: &str, uri: &str| {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(user) = user {
            request = request.header("x-user", user);
        }
        let body = match method {
            "POST" => sdk_start("1"),
            _ => Value::Null,
        };
        let asked = send("192.0.2.1", chat, request, &body).await;
        asked.status().as_u16()
    };
    let peer = Some("peer:192.0.2.1");
    let plain = mount(ai_sdk(&sessions, SignedInOrNot));
    assert_eq!(ask(&plain, peer, "POST", "/").await, 200);
    assert_eq!(ask(&plain, peer, "GET", "/1/stream").await, 200);
    drop(plain);
    let per_peer = mount(ai_sdk(&sessions, PerPeer::new(SignedInOrNot)));
    for (method, uri) in [("POST", "/"), ("GET", "/1/stream")] {
        for user in [peer, None] {
            let status = ask(&per_peer, user, method, uri).await;
            assert_eq!(status, 403, "{method} {uri} {user:?}");
        }
        assert_eq!(ask(&per_peer, Some("ann"), "POST", "/").await, 200);
    }
}

#[tokio::test]
async fn a_session_of_a_peer_is_read_by_its_id_from_every_network() {
    let sessions = Sessions::in_memory();
    let native = mount(DurableLayer::new(
        sessions.clone(),
        PerPeer::new(AnyoneWithTheId::new()),
    ));
    let started = ask_from("192.0.2.1", &native, "POST", "/", &native_start("1")).await;
    let id = started.headers()["x-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let elsewhere = "2001:db8::1";
    let read = ask_from(elsewhere, &native, "GET", &format!("/{id}"), &Value::Null).await;
    assert_eq!(read.status(), StatusCode::OK);
    let abort = format!("/{id}/abort");
    let aborted = ask_from(elsewhere, &native, "POST", &abort, &Value::Null).await;
    assert_eq!(aborted.status(), StatusCode::ACCEPTED);
}

#[tokio::test]
async fn one_peer_takes_no_more_places_than_an_owner() {
    let limits = Limits::default().running_per_owner(2);
    let sessions = Sessions::builder(Memory::new()).limits(limits).build();
    let native = mount(DurableLayer::new(
        sessions.clone(),
        PerPeer::new(AnyoneWithTheId::new()),
    ));
    let start = async |peer: &str| {
        let started = ask_from(peer, &native, "POST", "/", &native_start("1")).await;
        started.status().as_u16()
    };
    // One network of IPv6, and another.
    let statuses = [
        start("2001:db8::1").await,
        start("2001:db8::2").await,
        start("2001:db8::ffff:3").await,
        start("2001:db8:0:1::1").await,
        start("192.0.2.1").await,
    ];
    assert_eq!(statuses, [200, 200, 429, 200, 200]);
}
