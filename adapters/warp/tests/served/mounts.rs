//! The requests that a mounted service sees, and its responses.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::SocketAddr,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use serde_json::json;
use tower_layer::Layer as _;
use tower_service::Service;
use unbroken::{durable::MountPath, session::Sessions};
use unbroken_warp::{RequestBody, mount, mount_with};
use warp::Filter;

use crate::{
    client::{BOTH, With, ask, empty, get, post, send},
    server::{ID, hello, layer, question, serve},
};

#[tokio::test]
async fn a_mounted_service_knows_its_path_at_any_depth() {
    let chat = || mount(layer(&Sessions::in_memory()).layer(hello()));
    let shallow = serve!(warp::path!("api" / "chat" / ..).and(chat()));
    let deep = warp::path!("of" / String / ..)
        .and(warp::path("chat").and(chat()))
        .map(|_user, response| response);
    let deep = serve!(deep);
    let root = serve!(chat());
    for (server, path, location) in [
        (&shallow, "/api/chat", format!("/api/chat/{ID}")),
        (&shallow, "/api/chat/", format!("/api/chat/{ID}")),
        (&deep, "/of/a%2Fb/chat", format!("/of/a%2Fb/chat/{ID}")),
        (&root, "/", format!("/{ID}")),
    ] {
        let start = post(path, &question()).with("x-session-id", ID);
        let started = ask(server.addr, start).await;
        assert_eq!(started.status(), 200, "{path}");
        assert_eq!(started.header("content-location"), location);
        let found = ask(server.addr, get(&location)).await;
        assert_eq!(found.status(), 200, "{path}");
        assert_eq!(found.header("content-location"), location);
        assert_eq!(found.text(), started.text());
        let aborted = empty("POST", &format!("{location}/abort"));
        assert_eq!(ask(server.addr, aborted).await.status(), 200, "{path}");
    }
    let beside = ask(shallow.addr, get("/api/chats")).await;
    assert_eq!(beside.status(), 404);
    assert_eq!(beside.text(), "", "that is warp's");
}

/// A service that answers with the parts of its request.
#[derive(Clone)]
struct Mirror;

impl Service<Request<RequestBody>> for Mirror {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let mount: Option<&MountPath> = request.extensions().get();
        let from: Option<&Option<SocketAddr>> = request.extensions().get();
        let several: Vec<_> = request.headers().get_all("x-several").iter().collect();
        let seen = json!({
            "method": request.method().as_str(),
            "uri": request.uri().to_string(),
            "mount": mount.map(MountPath::as_str),
            "several": several.iter().map(|it| it.to_str().unwrap()).collect::<Vec<_>>(),
            "local": from.copied().flatten().is_some_and(|it| it.ip().is_loopback()),
            "version": format!("{:?}", request.version()),
        });
        ready(Ok(Response::new(seen.to_string().into())))
    }
}

#[tokio::test]
async fn a_service_sees_the_head_as_it_was_sent() {
    let mirror = mount_with(Mirror, warp::addr::remote());
    let server = serve!(warp::path!("a" / "b" / ..).and(mirror));
    for version in BOTH {
        let request = empty("BREW", "/a/b/c%2Fd/%C3%A9//?x=%26&x&y=1+2?/")
            .with("x-several", "1")
            .with("x-several", "2");
        let seen = send(server.addr, version, request).await.whole().await;
        assert_eq!(
            seen.json(),
            json!({
                "method": "BREW",
                "uri": "/c%2Fd/%C3%A9//?x=%26&x&y=1+2?/",
                "mount": "/a/b",
                "several": ["1", "2"],
                "local": true,
                "version": "HTTP/1.1",
            })
        );
    }
}

#[tokio::test]
async fn the_head_of_a_response_without_a_body_says_so() {
    for version in BOTH {
        let sessions = Sessions::in_memory();
        let chat = mount(layer(&sessions).layer(hello()));
        let server = serve!(warp::path!("chat" / ..).and(chat));
        let start = post("/chat", &question()).with("x-session-id", ID);
        let started = send(server.addr, version, start).await.whole().await;
        assert!(started.clean);
        assert_eq!(started.text().lines().count(), 4);
        for (method, path, status, allow) in [
            ("HEAD", format!("/{ID}"), 200, ""),
            ("HEAD", format!("/{ID}?after=4"), 204, ""),
            ("GET", format!("/{ID}?after=4"), 204, ""),
            ("OPTIONS", "/".to_owned(), 204, "GET, HEAD, POST, OPTIONS"),
            ("HEAD", "/nowhere/at/all".to_owned(), 404, ""),
            ("DELETE", format!("/{ID}"), 204, ""),
        ] {
            let request = empty(method, &format!("/chat{path}"));
            let answer = send(server.addr, version, request).await;
            assert!(answer.is_bare(), "{version:?} {method} {path}");
            let whole = answer.whole().await;
            assert_eq!(whole.status(), status, "{version:?} {method} {path}");
            assert!(whole.clean, "{version:?} {method} {path}");
            assert_eq!(whole.text(), "", "{version:?} {method} {path}");
            assert_eq!(whole.header("allow"), allow, "{version:?} {method} {path}");
        }
    }
}

#[tokio::test]
async fn a_document_has_its_length_with_and_without_its_body() {
    let chat = mount(layer(&Sessions::in_memory()).layer(hello()));
    let server = serve!(warp::path!("chat" / ..).and(chat));
    ask(
        server.addr,
        post("/chat", &question()).with("x-session-id", ID),
    )
    .await;
    for version in BOTH {
        let page =
            |method| empty(method, &format!("/chat/{ID}")).with("accept", "application/json");
        let whole = send(server.addr, version, page("GET")).await.whole().await;
        let length = whole.text().len().to_string();
        assert_eq!(whole.header("content-length"), length);
        let head = send(server.addr, version, page("HEAD")).await.whole().await;
        assert_eq!((head.status(), head.clean), (200, true), "{version:?}");
        assert_eq!(head.header("content-length"), length, "{version:?}");
    }
}

#[tokio::test]
async fn refusals_are_those_of_the_service() {
    let chat = mount(layer(&Sessions::in_memory()).layer(hello()));
    let server = serve!(warp::path!("chat" / ..).and(chat));
    let unknown = ask(server.addr, empty("BREW", "/chat")).await;
    assert_eq!(unknown.problem(), (405, "method-not-allowed".to_owned()));
    assert_eq!(unknown.header("allow"), "GET, HEAD, POST, OPTIONS");
    let nothing = empty("POST", "/chat").with("content-type", "application/json");
    let nothing = ask(server.addr, nothing).await;
    assert_eq!(nothing.problem(), (400, "not-json".to_owned()));
    let encoded = ask(server.addr, get("/chat/abc%2Fabort")).await;
    assert_eq!(encoded.problem(), (400, "malformed-id".to_owned()));
    let slash = ask(server.addr, get("/chat//")).await;
    assert_eq!(slash.problem(), (404, "no-such-route".to_owned()));
}

#[tokio::test]
async fn routes_beside_a_mount_answer() {
    let chat = mount(layer(&Sessions::in_memory()).layer(hello()));
    let chat = warp::path!("chat" / ..).and(chat);
    let server = serve!(chat.or(warp::any().map(|| "the page")));
    assert_eq!(ask(server.addr, get("/")).await.text(), "the page");
    let list = send(server.addr, Version::HTTP_2, get("/chat")).await;
    assert_eq!(list.whole().await.problem().0, 403);
}
