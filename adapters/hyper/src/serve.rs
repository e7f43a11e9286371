use std::{
    fmt,
    future::{Future, IntoFuture, pending},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tower_service::Service;
use unbroken::{BoxError, session::Sessions};

use crate::{Listener, ServerLimits, server};

/// Serves clients over HTTP/1.1 and HTTP/2 until the shutdown signal.
///
/// The returned [`Serve`] runs once it is awaited. It serves any tower service whose body is an
/// `http_body::Body`: a durable service at the root, or [mounted](crate::mount) beside others. A
/// service that panics or fails ends its connection, over HTTP/2 its stream, and nothing else.
///
/// Clients of HTTP/2 without TLS must begin with it ("prior knowledge").
///
/// ```
/// use std::time::Duration;
/// use tokio::net::TcpListener;
/// use unbroken::session::Sessions;
/// use unbroken_hyper::ServerLimits;
/// # use futures_util::stream;
/// # use tower::Layer;
/// # use unbroken::{
/// #     access::AnyoneWithTheId, chat::{ChatEvent, ProviderError, provider_fn},
/// #     durable::DurableLayer,
/// # };
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// # let sessions = Sessions::in_memory();
/// # let provider = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hi"))]));
/// # let chat = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new()).layer(provider);
/// # async fn asked_to_stop() {}
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// unbroken_hyper::serve(listener, chat)
///     .with_graceful_shutdown(asked_to_stop())
///     .hand_over(sessions, Duration::from_secs(5))
///     .limits(ServerLimits::default().connections(1000))
///     .await;
/// # Ok(()) }
/// ```
pub fn serve<L, S>(listener: L, service: S) -> Serve<L, S> {
    Serve {
        listener,
        service,
        limits: ServerLimits::default(),
        signal: Box::pin(pending()),
        hand_over: Vec::new(),
    }
}

/// A server that starts once it is awaited; created by [`serve`].
#[must_use = "a server serves once it is awaited"]
pub struct Serve<L, S> {
    pub(crate) listener: L,
    pub(crate) service: S,
    pub(crate) limits: ServerLimits,
    pub(crate) signal: Signal,
    pub(crate) hand_over: Vec<(Sessions, Duration)>,
}

type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<L, S> Serve<L, S> {
    /// The time that a server without a [hand-over](Self::hand_over) waits for its connections after
    /// the shutdown signal: 30 seconds.
    pub const DEADLINE: Duration = Duration::from_secs(30);

    /// Sets the shutdown signal. Once it resolves, the server stops in this order:
    ///
    /// 1. It drops the listener: new connections are refused.
    /// 2. Connections without a request end; the others end after their responses.
    /// 3. The sessions are [handed over](Self::hand_over), or connections have
    ///    [30 seconds](Self::DEADLINE).
    /// 4. Connections send the rest of their responses, within [`ServerLimits::flush_timeout`].
    /// 5. The remaining connections are cut. A client can tell a cut from an end: over HTTP/1.1 the
    ///    last chunk is missing, over HTTP/2 the connection breaks off in mid-stream.
    ///
    /// The server has ended as soon as no connection is left and the sessions have ended or been
    /// handed over: at the latest after the deadline and the flush timeout, 2 seconds more if a
    /// store hangs, and 10 seconds more while [hooks](Sessions::shutdown) of endings run.
    pub fn with_graceful_shutdown<F>(mut self, signal: F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.signal = Box::pin(signal);
        self
    }

    /// Adds a registry of sessions that the server [shuts down](Sessions::shutdown) at its end.
    ///
    /// Running sessions may finish until `deadline` after the signal. Then their leases are given
    /// back and their bodies fail, so that clients resume on another server; or they end, where the store ends with
    /// this registry.
    ///
    /// Without this, a response that outlasts the [deadline](Self::DEADLINE) is cut with its
    /// connection, and its session continues until the process ends. An application with several
    /// `Sessions` calls this for each of them; the longest deadline counts for the connections.
    pub fn hand_over(mut self, sessions: Sessions, deadline: Duration) -> Self {
        self.hand_over.push((sessions, deadline));
        self
    }

    /// Sets the limits of clients. Default [`ServerLimits::default`].
    pub fn limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl<L, S, B> IntoFuture for Serve<L, S>
where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Output = ();
    type IntoFuture = Serving;

    fn into_future(self) -> Serving {
        Serving {
            server: Box::pin(server::run(self)),
        }
    }
}

/// A future of the end of a server.
///
/// Dropping it closes the listener and cuts every connection. Sessions continue.
#[must_use = "a server serves only while it is polled"]
pub struct Serving {
    server: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.server.as_mut().poll(cx)
    }
}

impl<L, S> fmt::Debug for Serve<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("limits", &self.limits)
            .field("hand_over", &self.hand_over)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}
