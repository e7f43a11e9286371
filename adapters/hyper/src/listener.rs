use std::{
    future::{Future, Ready, ready},
    io,
    net::SocketAddr,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// A source of connections: tokio's `TcpListener` and `UnixListener`, or an implementation of the
/// application.
///
/// Errors of [`accept`](Self::accept) don't end a server. The server ignores those of a single
/// connection. After any other error (no file descriptor is left, for example) it waits for 10 ms to
/// 1 s and tries again.
///
/// Work that needs the client, such as a TLS handshake, belongs into the
/// [`Handshake`](Self::Handshake): that runs on the task of the connection, within
/// [`ServerLimits::head_timeout`](crate::ServerLimits::head_timeout), and does not delay other clients.
/// Offer HTTP/2 to clients of TLS with ALPN (`h2` and `http/1.1`); the server decides by the first
/// bytes.
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
    /// The connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The future of the connection.
    type Handshake: Future<Output = io::Result<Self::Io>> + Send + 'static;
    /// The address of the client, which requests carry as [`Peer`](crate::Peer).
    type Peer: Clone + Send + Sync + 'static;

    /// Waits for the next client.
    ///
    /// Must be cancel safe: dropping the future must not lose a client.
    ///
    /// # Errors
    ///
    /// Returns the errors of the operating system; the server continues.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Handshake, Self::Peer)>> + Send;
}

/// Sets `TCP_NODELAY`, so that no event waits for the acknowledgement of the event before it.
impl Listener for TcpListener {
    type Io = TcpStream;
    type Handshake = Ready<io::Result<TcpStream>>;
    type Peer = SocketAddr;

    async fn accept(&mut self) -> io::Result<(Self::Handshake, SocketAddr)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // Fails if the client has disconnected, which the first read reports.
        let _ = stream.set_nodelay(true);
        Ok((ready(Ok(stream)), peer))
    }
}

/// The file of the socket remains when the server ends; the application removes it.
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
