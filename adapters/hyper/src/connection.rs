use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, rt};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until},
};
use tower_service::Service;
use unbroken::BoxError;

use crate::{
    ServerLimits,
    activity::{Activity, ActivityState, CountedService},
    limits::{after, bounded},
    write_timeout::WriteTimeout,
};

/// The least that hyper takes for a buffer.
const LEAST_BUFFER: usize = 8 * 1024;
/// How soon after it was seen busy a connection is looked at again, at the earliest.
const AGAIN: Duration = Duration::from_millis(100);

/// Serves one connection, over HTTP/1.1 or HTTP/2 as its first bytes say, within those of the
/// [`ServerLimits`] that are about one connection. For a loop of one's own; [`serve`](crate::serve) has
/// one.
///
/// Must be called on a tokio runtime with time. HTTP/2 answers run on tasks of their own, which
/// end with the connection.
///
/// ```
/// use tokio::net::TcpListener;
/// use unbroken_hyper::{ServerLimits, serve_connection};
/// # use futures_util::stream;
/// # use tower_layer::Layer;
/// # use unbroken::{
/// #     access::AnyoneWithTheId, chat::{ChatEvent, ProviderError, provider_fn},
/// #     durable::DurableLayer, session::Sessions,
/// # };
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// # let provider = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hi"))]));
/// # let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).layer(provider);
/// # async fn asked_to_stop() {}
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let limits = ServerLimits::default();
/// # let client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
///
/// let (stream, _) = listener.accept().await?;
/// stream.set_nodelay(true)?;
/// let mut connection = serve_connection(stream, chat.clone(), &limits);
/// let ended = tokio::select! {
///     ended = &mut connection => ended,
///     () = asked_to_stop() => {
///         connection.graceful_shutdown();
///         connection.await
///     }
/// };
/// # let _ = ended;
/// # Ok(()) }
/// ```
pub fn serve_connection<I, S, B>(io: I, service: S, limits: &ServerLimits) -> Connection
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let activity = Activity::new();
    let io = TokioIo::new(WriteTimeout::new(io, limits.unread));
    let service = CountedService::new(service, activity.clone());
    let connection = builder(limits).serve_connection(io, service).into_owned();
    let began = Instant::now();
    Connection {
        hyper: Box::pin(connection),
        activity,
        began,
        timer: Box::pin(sleep_until(after(began, limits.head.min(limits.idle)))),
        idle: limits.idle,
        head: limits.head,
        leaving: false,
    }
}

fn builder(limits: &ServerLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Without a timer hyper has no timeouts, or panics where they are asked for.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounded(limits.head))
        .max_headers(limits.head_fields)
        // What bounds a head bounds both of hyper's buffers.
        .max_buf_size(limits.head_bytes.max(LEAST_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(bounded(limits.ping))
        .keep_alive_timeout(bounded(limits.ping_timeout))
        .max_concurrent_streams(limits.streams)
        // Its own limit is exclusive.
        .max_header_list_size(
            u32::try_from(limits.head_bytes.saturating_add(1)).unwrap_or(u32::MAX),
        )
        .max_send_buf_size(limits.buffer.clamp(1, u32::MAX as usize));
    builder
}

/// Awaits the end of a connection; [`serve_connection`] makes it.
///
/// Dropped, the connection is cut and its answers with it; sessions go on.
#[must_use = "a connection is served only while it is polled"]
pub struct Connection {
    hyper: Pin<Box<dyn HyperConnection>>,
    activity: Activity,
    began: Instant,
    // May run out early, never late.
    timer: Pin<Box<Sleep>>,
    idle: Duration,
    head: Duration,
    // Asked to go since it was idle.
    leaving: bool,
}

/// How a connection ended that didn't end well. Nothing that a server must act on: sessions go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// There was no whole request in time: see [`ServerLimits::head`].
    #[error("the client sent no request in time")]
    NoRequest,
    /// It had been idle for too long, and didn't go when it was asked to: see [`ServerLimits::idle`].
    #[error("the client kept an idle connection open")]
    Idle,
    /// The client is gone, broke the protocol, took nothing of an answer, or an answer was cut.
    #[error("the connection broke off")]
    Http(#[source] BoxError),
}

impl Connection {
    /// Asks the client to go: no further request is taken over HTTP/1.1, and over HTTP/2 the client
    /// is told to open no more streams. What is being answered goes on. Keep on polling until it is
    /// over.
    ///
    /// A connection without a request ends at once; over HTTP/2, once the client has answered.
    pub fn graceful_shutdown(&mut self) {
        self.hyper.as_mut().graceful_shutdown();
    }

    /// Looks at the clock, for what hyper doesn't bound.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let head = after(self.began, self.head);
            // However short that limit is, a busy connection isn't woken all the time for it.
            let again = self.idle.max(AGAIN);
            let next = match self.activity.now() {
                ActivityState::Fresh if head <= now => {
                    return Poll::Ready(ConnectionError::NoRequest);
                }
                // A request may come and be answered meanwhile.
                ActivityState::Fresh => head.min(after(now, again)),
                ActivityState::Idle(_) if self.leaving => {
                    return Poll::Ready(ConnectionError::Idle);
                }
                ActivityState::Idle(since) if after(since, self.idle) <= now => {
                    self.leaving = true;
                    self.graceful_shutdown();
                    // What it does about that, it does when it is polled.
                    cx.waker().wake_by_ref();
                    after(now, self.head)
                }
                ActivityState::Idle(since) => after(since, self.idle),
                ActivityState::Busy(_) => after(now, again),
            };
            self.timer.as_mut().reset(next);
        }
        Poll::Pending
    }
}

impl Future for Connection {
    type Output = Result<(), ConnectionError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(ended) = self.hyper.as_mut().poll(cx) {
            return Poll::Ready(ended.map_err(ConnectionError::Http));
        }
        self.poll_timer(cx).map(Err)
    }
}

/// hyper's connection, without its parameters.
trait HyperConnection: Future<Output = Result<(), BoxError>> + Send {
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<I, S, B> HyperConnection for auto::Connection<'static, I, S, TokioExecutor>
where
    Self: Send,
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    I: rt::Read + rt::Write + Unpin + 'static,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        auto::Connection::graceful_shutdown(self);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("activity", &self.activity)
            .finish_non_exhaustive()
    }
}
