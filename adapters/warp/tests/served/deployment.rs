//! A filter behind `unbroken_hyper::serve`.

use std::{net::SocketAddr, time::Duration};

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
use unbroken_hyper::ServerLimits;
use warp::Filter as _;

const SOON: Duration = Duration::from_secs(60);

async fn served() -> SocketAddr {
    let provider =
        provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
    let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).layer(provider);
    let app = warp::path!("api" / "chat" / ..).and(unbroken_warp::mount(chat));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = ServerLimits::default().head_timeout(Duration::from_millis(200));
    let server = unbroken_hyper::serve(listener, warp::service(app)).limits(limits);
    tokio::spawn(server.into_future());
    address
}

/// Sends bytes, and returns all that the server says until it closes the connection.
async fn said(address: SocketAddr, sent: String) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    // A reset counts as an end.
    let _ = timeout(SOON, stream.read_to_end(&mut said))
        .await
        .expect("the server closes it");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_filter_is_served_as_a_service() {
    let body = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
    let request = format!(
        "POST /api/chat HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = said(served().await, request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("Hello") && answer.ends_with("0\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn connections_with_half_a_head_are_closed() {
    let address = served().await;
    let halves = [
        "",
        "GET / HT",
        "POST /api/chat HTTP/1.1\r\nhost: x\r\n",
        "PRI * HTTP/2.0\r\n",
    ];
    let connections = (0..40).map(|at| tokio::spawn(said(address, halves[at % 4].to_owned())));
    let mut closed = 0;
    for connection in connections.collect::<Vec<_>>() {
        let answer = connection.await.unwrap();
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
        closed += 1;
    }
    assert_eq!(closed, 40);
}
