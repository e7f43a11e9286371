use std::{
    future::{Future, Ready, ready},
    io,
    net::SocketAddr,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// Where connections come from: tokio's `TcpListener` and `UnixListener`, or one's own.
///
/// Errors of [`accept`](Self::accept) don't end a server: those of a single connection are passed
/// over, and after any other (no file descriptor is left, say) it waits for some 10 ms to 1 s and
/// tries again.
///
/// What takes a client's cooperation, such as a TLS handshake, belongs into the
/// [`Handshake`](Self::Handshake): that runs on the connection's own task, within
/// [`ServerLimits::head`](crate::ServerLimits::head), and keeps nobody else waiting. Tell clients of TLS about
/// HTTP/2 with ALPN (`h2` and `http/1.1`); here the first bytes decide.
///
/// ```
/// use std::{io, net::SocketAddr};
///
/// use tokio::net::{TcpListener, TcpStream};
/// use unbroken_hyper::Listener;
/// # #[derive(Clone)] struct TlsAcceptor;
/// # impl TlsAcceptor {
/// #     fn accept(&self, stream: TcpStream) -> std::future::Ready<io::Result<TcpStream>> {
/// #         std::future::ready(Ok(stream))
/// #     }
/// # }
/// # type Accept<T> = std::future::Ready<io::Result<T>>;
/// # type TlsStream<T> = T;
///
/// // With `tokio_rustls::{Accept, TlsAcceptor, server::TlsStream}`.
/// struct Tls {
///     listener: TcpListener,
///     acceptor: TlsAcceptor,
/// }
///
/// impl Listener for Tls {
///     type Io = TlsStream<TcpStream>;
///     type Handshake = Accept<TcpStream>;
///     type Peer = SocketAddr;
///
///     async fn accept(&mut self) -> io::Result<(Self::Handshake, SocketAddr)> {
///         let (stream, peer) = self.listener.accept().await?;
///         stream.set_nodelay(true)?;
///         Ok((self.acceptor.accept(stream), peer))
///     }
/// }
/// ```
pub trait Listener: Send + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Awaits the connection.
    type Handshake: Future<Output = io::Result<Self::Io>> + Send + 'static;
    /// Who is at the other end. Requests carry it as [`Peer`](crate::Peer).
    type Peer: Clone + Send + Sync + 'static;

    /// Awaits the next client. Must be cancel safe: a future that is dropped has lost no client.
    ///
    /// # Errors
    ///
    /// Those of the operating system; the server goes on.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Handshake, Self::Peer)>> + Send;
}

/// Sets `TCP_NODELAY`, so that no event waits for the acknowledgement of the one before.
impl Listener for TcpListener {
    type Io = TcpStream;
    type Handshake = Ready<io::Result<TcpStream>>;
    type Peer = SocketAddr;

    async fn accept(&mut self) -> io::Result<(Self::Handshake, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // Fails where the client has gone already, which will be noticed soon enough.
        let _ = stream.set_nodelay(true);
        Ok((ready(Ok(stream)), peer))
    }
}

/// The socket's file stays behind when the server ends: who made it removes it.
#[cfg(unix)]
impl Listener for tokio::net::UnixListener {
    type Io = tokio::net::UnixStream;
    type Handshake = Ready<io::Result<Self::Io>>;
    type Peer = tokio::net::unix::SocketAddr;

    async fn accept(&mut self) -> io::Result<(Self::Handshake, Self::Peer)> {
        let (stream, peer) = tokio::net::UnixListener::accept(self).await?;
        Ok((ready(Ok(stream)), peer))
    }
}
