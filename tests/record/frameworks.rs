//! Every way to mount the layer.

use std::{convert::Infallible, net::SocketAddr};

use axum::{Router, routing::post};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tower::service_fn;
use tower_layer::Layer as _;
use unbroken::{record::InnerBody, session::Sessions};
use warp::Filter as _;

use crate::{
    app::{data, layer},
    client::{With as _, empty, send},
};

/// Starts a session at this path, and reads it again.
async fn starts_and_resumes(addr: SocketAddr, path: &str) {
    let started = send(addr, empty("POST", path)).await.whole().await;
    assert!(started.clean);
    assert_eq!(data(started.text()), ["one", "two"], "{path}");
    let again = empty("GET", path).with("x-session-id", started.header("x-session-id"));
    let again = again.with("last-event-id", "3");
    let again = send(addr, again).await.whole().await;
    assert_eq!(again.status(), 200, "{path}");
    assert_eq!(data(again.text()), ["two"], "{path}");
}

/// A task that ends with its test.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

type Events =
    StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

/// The response of an application, with trailers.
fn events() -> Response<Events> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "2".parse().unwrap());
    let frames = vec![
        Ok(Frame::data("data: one\n\ndata: t".into())),
        Ok(Frame::data("wo\n\n".into())),
        Ok(Frame::trailers(trailers)),
    ];
    Response::builder()
        .header("content-type", "text/event-stream")
        .header("trailer", "x-sum")
        .body(StreamBody::new(futures_util::stream::iter(frames)))
        .unwrap()
}

async fn handler() -> Response<axum::body::Body> {
    events().map(axum::body::Body::new)
}

#[tokio::test]
async fn axum_mounts_it_around_a_router_its_routes_and_one_route() {
    let layer = || crate::app::layer(&Sessions::in_memory());
    let routers = [
        Router::new().route("/a", post(handler)).layer(layer()),
        Router::new()
            .route("/a", post(handler))
            .route_layer(layer()),
        Router::new().route("/a", post(handler).layer(layer())),
        Router::new().nest_service("/a", layer().layer(post(handler))),
        Router::new().nest("/a", Router::new().route("/", post(handler)).layer(layer())),
    ];
    for router in routers {
        let (listener, addr) = listen().await;
        let serve = async move { axum::serve(listener, router).await.unwrap() };
        let _server = Running(tokio::spawn(serve));
        starts_and_resumes(addr, "/a").await;
    }
}

#[tokio::test]
async fn hyper_serves_it_around_a_function() {
    let service = layer(&Sessions::in_memory()).layer(service_fn(
        |request: Request<InnerBody<hyper::body::Incoming>>| async move {
            assert_eq!(request.uri().path(), "/");
            Ok::<_, Infallible>(events())
        },
    ));
    let (listener, addr) = listen().await;
    let app = unbroken_hyper::mount("/api/ask", service);
    let _server = Running(tokio::spawn(async move {
        unbroken_hyper::serve(listener, app).await;
    }));
    starts_and_resumes(addr, "/api/ask").await;
    let started = send(addr, empty("POST", "/api/ask")).await;
    let location = format!("/api/ask?sessionId={}", started.id());
    assert_eq!(started.header("content-location"), location);
}

#[tokio::test]
async fn trailers_are_kept() {
    let service = layer(&Sessions::in_memory()).layer(service_fn(
        |_: Request<InnerBody<hyper::body::Incoming>>| async { Ok::<_, Infallible>(events()) },
    ));
    let (listener, addr) = listen().await;
    let _server = Running(tokio::spawn(async move {
        unbroken_hyper::serve(listener, service).await;
    }));
    let io = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = |method: &str| {
        let request = Request::builder().method(method).uri("http://test/");
        request.body(Full::<Bytes>::default()).unwrap()
    };
    let started = client.send_request(request("POST")).await.unwrap();
    let session = started.headers()["x-session-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let again = request("GET").with("x-session-id", &session);
    let again = client.send_request(again).await.unwrap();
    for response in [started, again] {
        assert_eq!(response.headers()["trailer"], "x-sum");
        let whole = response.into_body().collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()["x-sum"], "2");
    }
    // Nothing but trailers and the end follow the last event.
    let end = request("GET")
        .with("x-session-id", &session)
        .with("last-event-id", "4");
    assert_eq!(client.send_request(end).await.unwrap().status(), 204);
}

#[tokio::test]
async fn warp_is_wrapped_as_a_service() {
    let route = warp::path!("api" / "ask").and(warp::post()).map(|| {
        let events =
            ["one", "two"].map(|word| Ok::<_, Infallible>(warp::sse::Event::default().data(word)));
        warp::sse::reply(futures_util::stream::iter(events))
    });
    let page = warp::path!("page").map(|| "the page");
    let app = layer(&Sessions::in_memory()).layer(warp::service(route.or(page)));
    let (listener, addr) = listen().await;
    let _server = Running(tokio::spawn(async move {
        unbroken_hyper::serve(listener, app).await;
    }));
    starts_and_resumes(addr, "/api/ask").await;
    let page = send(addr, empty("GET", "/page")).await.whole().await;
    assert_eq!(page.text(), "the page");
}

#[tokio::test]
async fn warp_mounts_it_around_a_function() {
    let service = layer(&Sessions::in_memory()).layer(service_fn(
        |_: Request<InnerBody<unbroken_warp::RequestBody>>| async { Ok::<_, Infallible>(events()) },
    ));
    let app = warp::path!("api" / "ask" / ..).and(unbroken_warp::mount(service));
    let (listener, addr) = listen().await;
    let _server = Running(tokio::spawn(async move {
        warp::serve(app).incoming(listener).run().await;
    }));
    starts_and_resumes(addr, "/api/ask").await;
    let started = send(addr, empty("POST", "/api/ask")).await;
    let location = format!("/api/ask?sessionId={}", started.id());
    assert_eq!(started.header("content-location"), location);
}
