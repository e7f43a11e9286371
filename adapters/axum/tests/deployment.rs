//! A router behind `unbroken_hyper::serve`.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, Request},
    middleware::map_request,
    routing::get,
};
use futures_util::stream;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tower_layer::Layer as _;
use unbroken::{
    access::AnyoneWithTheId,
    chat::{ChatEvent, ProviderError, provider_fn},
    durable::DurableLayer,
    session::Sessions,
};
use unbroken_hyper::{Peer, ServerLimits};

const SOON: Duration = Duration::from_secs(60);

async fn served() -> SocketAddr {
    let provider =
        provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
    let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).layer(provider);
    let peer = |Extension(Peer(peer)): Extension<Peer<SocketAddr>>| async move { peer.to_string() };
    let info = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
    let app: Router = unbroken_axum::mount("/api/chat", chat)
        .route("/peer", get(peer))
        .route("/connect-info", get(info))
        .layer(map_request(connect_info));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = ServerLimits::default().head_timeout(Duration::from_millis(200));
    let server = unbroken_hyper::serve(listener, app).limits(limits);
    tokio::spawn(server.into_future());
    address
}

/// The layer that the documentation shows.
async fn connect_info(mut request: Request) -> Request {
    let peer = request.extensions().get::<Peer<SocketAddr>>().copied();
    if let Some(Peer(address)) = peer {
        request.extensions_mut().insert(ConnectInfo(address));
    }
    request
}

/// Sends bytes, and returns all that the server says until it closes the connection.
async fn said(address: SocketAddr, sent: &str) -> (SocketAddr, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    // A reset counts as an end.
    let _ = timeout(SOON, stream.read_to_end(&mut said))
        .await
        .expect("the server closes it");
    (
        stream.local_addr().unwrap(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[tokio::test]
async fn a_router_is_served_and_knows_the_peer() {
    let address = served().await;
    let close = "HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    for path in ["/peer", "/connect-info"] {
        let (client, answer) = said(address, &format!("GET {path} {close}\r\n")).await;
        assert!(answer.ends_with(&format!("\r\n\r\n{client}")), "{answer}");
    }
    let body = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
    let head = format!(
        "POST /api/chat {close}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (_, answer) = said(address, &format!("{head}{body}")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("Hello") && answer.ends_with("0\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn connections_with_half_a_head_are_closed() {
    let address = served().await;
    let mut closed = 0;
    for half in [
        "",
        "GET / HT",
        "POST /api/chat HTTP/1.1\r\nhost: x\r\n",
        "PRI * HTTP/2.0\r\n",
    ] {
        let connections = (0..10).map(|_| tokio::spawn(said(address, half)));
        for connection in connections.collect::<Vec<_>>() {
            let (_, answer) = connection.await.unwrap();
            assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
            closed += 1;
        }
    }
    assert_eq!(closed, 40);
}
