//! Both versions on one port, mounts, and the peer of a request.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;
use tower::service_fn;
use unbroken_hyper::{Peer, ServerLimits, mount, serve};

use crate::{
    client::{BOTH, Version, connect, get, post},
    server::{MOUNT, bind, follow, silence, start},
};

#[tokio::test]
async fn both_versions_are_answered_at_one_port_while_the_provider_is_silent() {
    let server = start(ServerLimits::default()).await;
    for version in BOTH {
        let mut client = connect(server.addr, version).await;
        let mut answer = client.get(post(MOUNT, &silence())).await;
        assert_eq!(answer.status(), 200);
        let expected = match version {
            Version::Http1 => http::Version::HTTP_11,
            Version::Http2 => http::Version::HTTP_2,
        };
        assert_eq!(answer.head.version, expected);
        answer.until("session_info").await;
    }
    assert_eq!(server.sessions.running(), 2);
}

#[tokio::test]
async fn a_mounted_chat_knows_its_path() {
    let server = start(ServerLimits::default()).await;
    for version in BOTH {
        let mut client = connect(server.addr, version).await;
        let answer = client
            .get(post(MOUNT, &follow(&json!({"tokens": 3}))))
            .await;
        let id = answer.header("x-session-id").to_owned();
        let location = answer.header("content-location").to_owned();
        assert_eq!(location, format!("{MOUNT}/{id}"));
        let live = answer.whole().await;
        assert!(live.clean && live.is_complete());
        let again = client.get(get(&location)).await.whole().await;
        assert_eq!(again.text, live.text);
        assert_eq!(client.get(get("/elsewhere")).await.status(), 404);
    }
}

#[tokio::test]
async fn a_request_that_is_not_below_the_mount_goes_to_the_other_service() {
    let (listener, addr) = bind().await;
    let say = |what: &'static str| {
        service_fn(move |request: Request<Incoming>| async move {
            let said = format!("{what} {}", request.uri().path());
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(said)))
        })
    };
    let app = mount("/a", say("a")).or(mount("/b", say("b")).or(say("rest")));
    let server = tokio::spawn(serve(listener, app).into_future());
    for version in BOTH {
        let mut client = connect(addr, version).await;
        for (path, said) in [
            ("/a/x", "a /x"),
            ("/b", "b /"),
            ("/ab", "rest /ab"),
            ("/", "rest /"),
        ] {
            let whole = client.get(get(path)).await.whole().await;
            assert_eq!(whole.text, said);
        }
    }
    server.abort();
}

#[tokio::test]
async fn a_request_knows_its_peer() {
    let (listener, addr) = bind().await;
    let app = service_fn(|request: Request<Incoming>| async move {
        let peer: Option<&Peer<SocketAddr>> = request.extensions().get();
        let said = peer.map(|Peer(peer)| peer.ip().to_string());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(said.unwrap())))
    });
    let server = tokio::spawn(serve(listener, app).into_future());
    for version in BOTH {
        let whole = connect(addr, version)
            .await
            .get(get("/"))
            .await
            .whole()
            .await;
        assert_eq!(whole.text, "127.0.0.1");
    }
    server.abort();
}

#[tokio::test]
async fn a_service_that_panics_or_fails_affects_no_other_connection() {
    let (listener, addr) = bind().await;
    let app = service_fn(|request: Request<Incoming>| async move {
        match request.uri().path() {
            "/panic" => panic!("a service that panics, as it should here"),
            "/fail" => Err("failed"),
            _ => Ok(Response::new(Full::<Bytes>::from("well"))),
        }
    });
    let server = tokio::spawn(serve(listener, app).into_future());
    for version in BOTH {
        let mut other = connect(addr, version).await;
        for path in ["/panic", "/fail"] {
            let mut client = connect(addr, version).await;
            client.send(get(path)).await.unwrap_err();
            if version == Version::Http2 {
                let whole = client.get(get("/")).await.whole().await;
                assert_eq!(whole.text, "well", "on the same connection");
            }
        }
        assert_eq!(other.get(get("/")).await.whole().await.text, "well");
    }
    server.abort();
}
