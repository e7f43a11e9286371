//! Listeners other than TCP.

use std::{future::Future, io, net::SocketAddr, pin::Pin, time::Duration};

use tokio::net::{TcpListener, TcpStream};
use unbroken::session::Sessions;
use unbroken_hyper::{Listener, ServerLimits, serve};

use crate::{
    client::{BOTH, Version, connect, get, over, post},
    server::{MOUNT, bind, chat, silence},
};

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_serves_both_versions() {
    let path = std::env::temp_dir().join(format!("unbroken-hyper-{}", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let sessions = Sessions::in_memory();
    let server = tokio::spawn(serve(listener, chat(&sessions)).into_future());
    for version in BOTH {
        let io = tokio::net::UnixStream::connect(&path).await.unwrap();
        let mut client = over(io, version).await.unwrap();
        let answer = client.get(post(MOUNT, &silence())).await;
        assert_eq!(answer.status(), 200);
    }
    server.abort();
    std::fs::remove_file(path).unwrap();
}

/// A listener whose handshake never ends for clients that send nothing.
struct Slow(TcpListener);

impl Listener for Slow {
    type Io = TcpStream;
    type Handshake = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;
    type Peer = SocketAddr;

    async fn accept(&mut self) -> io::Result<(Self::Handshake, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        let handshake = Box::pin(async move {
            stream.readable().await?;
            Ok(stream)
        });
        Ok((handshake, peer))
    }
}

#[tokio::test]
async fn a_handshake_delays_no_other_client_and_is_bounded() {
    let (listener, addr) = bind().await;
    let sessions = Sessions::in_memory();
    let limits = ServerLimits::default().head_timeout(Duration::from_millis(300));
    let server = serve(Slow(listener), chat(&sessions)).limits(limits);
    let server = tokio::spawn(server.into_future());
    let silent = TcpStream::connect(addr).await.unwrap();
    let mut client = connect(addr, Version::Http1).await;
    assert_eq!(client.get(get("/")).await.status(), 404);
    crate::limits::closed(silent).await;
    server.abort();
}
