//! Responses over HTTP/2, where an empty body that doesn't say so resets its stream.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tower_layer::Layer as _;
use unbroken::{session::Sessions, store::Memory};

use crate::{
    client::SOON,
    server::{Calls, ask, id, layer, provider},
};

type Client = SendRequest<Full<Bytes>>;

/// The service itself on hyper, without a framework.
async fn bare() -> (Sessions, Client, Calls) {
    bare_on(Sessions::in_memory()).await
}

async fn bare_on(sessions: Sessions) -> (Sessions, Client, Calls) {
    let (provider, calls) = provider();
    let service = layer(&sessions).layer(provider);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let io = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let (client, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    (sessions, client, calls)
}

fn request(method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("http://test{path}"))
        .header("content-type", "application/json")
        .body(Full::from(body.to_owned()))
        .unwrap()
}

/// The status, and the body unless its stream was reset.
async fn send(client: &Client, request: Request<Full<Bytes>>) -> (StatusCode, Option<Bytes>) {
    let mut client = client.clone();
    let answer = async move {
        client.ready().await.unwrap();
        let response = client.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.ok();
        (status, body.map(http_body_util::Collected::to_bytes))
    };
    tokio::time::timeout(SOON, answer).await.expect("an answer")
}

#[tokio::test]
async fn empty_bodies_end_without_a_reset() {
    let (_, client, calls) = bare().await;
    let id = id("http2");
    let start = request(
        Method::POST,
        &format!("/?sessionId={id}"),
        &ask("Hi").to_string(),
    );
    let running = tokio::spawn({
        let client = client.clone();
        async move { send(&client, start).await }
    });
    calls.next().await.say("Hello");
    let (status, body) = running.await.unwrap();
    assert_eq!(status, 200);
    assert!(body.unwrap().ends_with(b"\"stop\"}}\n"));
    for (method, path, expected) in [
        (Method::HEAD, format!("/{id}"), 200),
        (Method::HEAD, format!("/{id}?after=3"), 204),
        (Method::GET, format!("/{id}?after=3"), 204),
        (Method::OPTIONS, "/".to_owned(), 204),
        (Method::HEAD, "/nowhere/at/all".to_owned(), 404),
        (Method::DELETE, format!("/{id}"), 204),
    ] {
        let (status, body) = send(&client, request(method.clone(), &path, "")).await;
        assert_eq!(status, expected, "{method} {path}");
        assert_eq!(body.expect("no reset"), "", "{method} {path}");
    }
}

#[tokio::test]
async fn a_stream_that_can_not_go_on_is_reset() {
    let store = Memory::new();
    let (sessions, client, calls) = bare_on(Sessions::builder(store.clone()).build()).await;
    let start = request(Method::POST, "/", &ask("Hi").to_string());
    let running = tokio::spawn(async move { send(&client, start).await });
    let call = calls.next().await;
    call.say("Hello");
    sessions.shutdown(Duration::from_millis(50)).await;
    let (status, body) = running.await.unwrap();
    assert_eq!(status, 200);
    assert!(body.is_none(), "no clean end");
}
