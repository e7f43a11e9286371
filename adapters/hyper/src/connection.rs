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
    rt::{TokioIo, TokioTimer},
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
    activity::{Activity, ActivityState},
    counted::CountedService,
    limits::{after, bounded},
    response_buffer::ResponseBuffer,
    stream_task::StreamExecutor,
    write_timeout::WriteTimeout,
};

/// The smallest buffer that hyper accepts, in bytes.
const MIN_BUFFER: usize = 8 * 1024;
/// The shortest time between two checks of a busy connection.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Serves one connection, within those [`ServerLimits`] that apply to one connection.
///
/// Its first bytes decide between HTTP/1.1 and HTTP/2. This is for applications with an accept loop of
/// their own; [`serve`](crate::serve) has one. HTTP/2 responses run on separate tasks, which end with
/// the connection.
///
/// ```
/// use tokio::net::TcpListener;
/// use unbroken_hyper::{ServerLimits, serve_connection};
/// # use futures_util::stream;
/// # use tower::Layer;
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
///
/// # Panics
///
/// Panics outside of a tokio runtime with time enabled.
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
    let buffer = ResponseBuffer::new(limits.connection_buffer, limits.write_timeout);
    let io = TokioIo::new(WriteTimeout::new(io, limits.write_timeout, buffer.clone()));
    let service = CountedService::new(service, activity.clone(), buffer.clone());
    let connection = builder(limits, buffer)
        .serve_connection(io, service)
        .into_owned();
    let began = Instant::now();
    Connection {
        hyper: Box::pin(connection),
        activity,
        began,
        timer: Box::pin(sleep_until(after(
            began,
            limits.head_timeout.min(limits.idle_timeout),
        ))),
        idle_timeout: limits.idle_timeout,
        head_timeout: limits.head_timeout,
        closing: false,
    }
}

fn builder(limits: &ServerLimits, buffer: ResponseBuffer) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(StreamExecutor(buffer));
    // Without a timer hyper has no timeouts, or panics where they are asked for.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounded(limits.head_timeout))
        .max_headers(limits.head_fields)
        // The limit of a head is also the limit of both buffers of hyper.
        .max_buf_size(limits.head_bytes.max(MIN_BUFFER));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(bounded(limits.ping_interval))
        .keep_alive_timeout(bounded(limits.ping_timeout))
        .max_concurrent_streams(limits.streams)
        // The limit of hyper is exclusive.
        .max_header_list_size(
            u32::try_from(limits.head_bytes.saturating_add(1)).unwrap_or(u32::MAX),
        )
        .max_send_buf_size(limits.stream_buffer.clamp(1, u32::MAX as usize));
    builder
}

/// A future of the end of a connection; created by [`serve_connection`].
///
/// Dropping it cuts the connection and its responses. Sessions continue.
#[must_use = "a connection is served only while it is polled"]
pub struct Connection {
    hyper: Pin<Box<dyn HyperConnection>>,
    activity: Activity,
    began: Instant,
    // May fire early, never late.
    timer: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    head_timeout: Duration,
    // True once it was shut down for being idle.
    closing: bool,
}

/// An error that ended a connection. A server need not act on it: sessions continue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The client sent no complete request in time: see [`ServerLimits::head_timeout`].
    #[error("the client sent no request in time")]
    NoRequest,
    /// The connection was idle for too long, and the client didn't close it on request: see
    /// [`ServerLimits::idle_timeout`].
    #[error("the client kept an idle connection open")]
    Idle,
    /// The client disconnected, broke the protocol or read nothing of a response, or a response was
    /// cut.
    #[error("the connection broke off")]
    Http(#[source] BoxError),
}

impl Connection {
    /// Starts a graceful shutdown: over HTTP/1.1 the connection takes no further request, over HTTP/2
    /// it tells the client to open no more streams.
    ///
    /// Running responses continue. Keep polling the connection until it ends. A connection without a
    /// request ends at once; over HTTP/2, once the client has answered.
    pub fn graceful_shutdown(&mut self) {
        self.hyper.as_mut().graceful_shutdown();
    }

    /// Checks the limits that hyper doesn't have.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let head = after(self.began, self.head_timeout);
            // A busy connection isn't woken all the time, however short the limit is.
            let interval = self.idle_timeout.max(MIN_CHECK_INTERVAL);
            let next = match self.activity.state() {
                ActivityState::Fresh if head <= now => {
                    return Poll::Ready(ConnectionError::NoRequest);
                }
                // A request may come and be answered in the meantime.
                ActivityState::Fresh => head.min(after(now, interval)),
                ActivityState::Idle(_) if self.closing => {
                    return Poll::Ready(ConnectionError::Idle);
                }
                ActivityState::Idle(since) if after(since, self.idle_timeout) <= now => {
                    self.closing = true;
                    self.graceful_shutdown();
                    // The shutdown takes effect at the next poll.
                    cx.waker().wake_by_ref();
                    after(now, self.head_timeout)
                }
                ActivityState::Idle(since) => after(since, self.idle_timeout),
                ActivityState::Busy(_) => after(now, interval),
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

/// A connection of hyper, without its type parameters.
trait HyperConnection: Future<Output = Result<(), BoxError>> + Send {
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<I, S, B> HyperConnection for auto::Connection<'static, I, S, StreamExecutor>
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
