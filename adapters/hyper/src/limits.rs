use std::time::Duration;

use tokio::time::Instant;

/// What a server gives its clients. Each limit is inclusive: what is equal to it passes. A time of
/// `Duration::MAX` is none.
///
/// ```
/// use std::time::Duration;
/// use unbroken_hyper::ServerLimits;
///
/// let limits = ServerLimits::default().connections(500).unread(Duration::from_secs(20));
/// assert_eq!(limits.streams, 100);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLimits {
    /// Connections at once, at least 1. Default 10,000. Further ones aren't accepted: they wait in
    /// the kernel's backlog until one of these has ended. Each takes a file descriptor, so let the
    /// process open some more files than this.
    pub connections: usize,
    /// Bytes of a request's head. Default 16 KiB. Over HTTP/1.1, where the request line counts, at
    /// least 8 KiB are used, and a larger head is answered with 431 and the end of the connection;
    /// hyper looks only before it reads on, so that a head of up to twice as much may pass if it
    /// arrives at once. Over HTTP/2 it counts as that protocol does, which is 32 bytes a field more
    /// than what is in it, and a larger one is answered with 431 or a reset.
    pub head_bytes: usize,
    /// Fields of a request's head over HTTP/1.1. Default 100. More are answered with 431. Over HTTP/2
    /// [`head_bytes`](field@Self::head_bytes) is the bound: at most 512 fields fit into the default.
    pub head_fields: usize,
    /// How long a client may take with a request's head. Default 30 seconds. Before the first request
    /// it runs from the moment of acceptance, or from the end of a TLS handshake, which may take as
    /// long. Over
    /// HTTP/1.1 it then runs from the end of the answer before, so that an idle connection is closed after
    /// this or after [`idle`](field@Self::idle), whichever is shorter.
    pub head: Duration,
    /// How long a connection stays without a request that is being answered. Default 5 minutes. It is
    /// closed as in a graceful shutdown, so that a request which is on its way is still served. A
    /// client that doesn't go along with that has [`head`](field@Self::head) left. That it is
    /// over may be noticed 100 ms late.
    pub idle: Duration,
    /// Requests at once on one HTTP/2 connection. Default 100. Clients are told and hold further ones
    /// back; a stream that they open nevertheless is refused.
    pub streams: u32,
    /// How often an HTTP/2 client is asked whether it is there. Default 30 seconds.
    pub ping: Duration,
    /// How long an HTTP/2 client may take to answer that, before its connection is closed. Default 20
    /// seconds.
    pub ping_timeout: Duration,
    /// How long a client may take nothing of what is being written to it, before its connection is
    /// closed. Default 60 seconds. Silence counts for nothing: the time runs only while bytes wait,
    /// and begins anew with each byte that is taken. What the kernel buffers has been taken; what a TLS
    /// stream buffers has been taken once all of it has.
    ///
    /// A session goes on without its reader.
    ///
    /// This is about sockets. An HTTP/2 client can also stall one stream by flow control and read the
    /// others; such a stream costs [`buffer`](field@Self::buffer) bytes and no time of the session,
    /// and lasts while the client answers [pings](field@Self::ping).
    pub unread: Duration,
    /// Bytes of an answer that are held for an HTTP/2 client which doesn't take them, of each stream.
    /// Default 128 KiB. Over HTTP/1.1 it is as much as [`head_bytes`](field@Self::head_bytes) instead.
    /// The last frame of a body may pass it by its own length, which is up to 64 KiB.
    pub buffer: usize,
    /// How long connections may take to send what is left, at the end of a shutdown, before they are
    /// cut. Default 5 seconds.
    pub flush: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            head_bytes: 16 * 1024,
            head_fields: 100,
            head: Duration::from_secs(30),
            idle: Duration::from_secs(5 * 60),
            streams: 100,
            ping: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            unread: Duration::from_secs(60),
            buffer: 128 * 1024,
            flush: Duration::from_secs(5),
        }
    }
}

/// Longer than a process lives, and short enough for every clock.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What can be added to a point in time: clocks panic past their end.
pub(crate) fn bounded(time: Duration) -> Duration {
    time.min(FOREVER)
}

pub(crate) fn after(since: Instant, time: Duration) -> Instant {
    since + bounded(time)
}

macro_rules! setters {
    ($($field:ident: $Type:ty),*) => {
        impl ServerLimits {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
                pub fn $field(mut self, $field: $Type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

setters! {
    connections: usize, head_bytes: usize, head_fields: usize, head: Duration, idle: Duration,
    streams: u32, ping: Duration, ping_timeout: Duration, unread: Duration, buffer: usize,
    flush: Duration
}
