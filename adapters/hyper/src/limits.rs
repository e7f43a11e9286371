use std::time::Duration;

use tokio::time::Instant;

/// The limits of a server and its clients.
///
/// Each limit is inclusive. A time of `Duration::MAX` is no limit.
///
/// ```
/// use std::time::Duration;
/// use unbroken_hyper::ServerLimits;
///
/// let limits = ServerLimits::default().connections(500).write_timeout(Duration::from_secs(20));
/// assert_eq!(limits.streams, 100);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLimits {
    /// The most connections at once, at least 1. Default 10,000.
    ///
    /// Further ones aren't accepted: they wait in the backlog of the kernel until a connection has
    /// ended. Each takes a file descriptor, so the process must be allowed to open some more files
    /// than this.
    pub connections: usize,
    /// The most bytes of a request's head. Default 16 KiB.
    ///
    /// Over HTTP/1.1, where the request line counts, the limit is at least 8 KiB. A larger head is
    /// answered with 431 and the end of the connection. hyper checks the limit only before it reads
    /// more, so a head of up to twice the limit may pass if it arrives at once. Over HTTP/2 the size is
    /// counted as that protocol does, with 32 bytes more for each field, and a larger head is answered
    /// with 431 or a reset.
    pub head_bytes: usize,
    /// The most fields of a request's head over HTTP/1.1. Default 100.
    ///
    /// A head with more fields is answered with 431. Over HTTP/2
    /// [`head_bytes`](field@Self::head_bytes) is the bound: at most 512 fields fit into its default.
    pub head_fields: usize,
    /// The time within which a client must send a request's head. Default 30 seconds.
    ///
    /// For the first request it starts with the connection, or with the end of a TLS handshake, which
    /// may take as long. Over HTTP/1.1 it then starts with the end of the previous response, so an idle
    /// connection is closed after this time or [`idle_timeout`](field@Self::idle_timeout), whichever
    /// is shorter.
    pub head_timeout: Duration,
    /// The time that a connection may stay without a request that is being answered. Default 5
    /// minutes.
    ///
    /// The connection is closed by a graceful shutdown, so that a request on its way is still
    /// served. A client that doesn't close it has [`head_timeout`](field@Self::head_timeout) left. The
    /// end of the time may be noticed 100 ms late.
    pub idle_timeout: Duration,
    /// The most requests at once on one HTTP/2 connection. Default 100.
    ///
    /// Clients learn the limit and hold further requests back; a stream beyond the limit is refused.
    pub streams: u32,
    /// The time between two pings of an HTTP/2 client. Default 30 seconds.
    pub ping_interval: Duration,
    /// The time within which an HTTP/2 client must answer a ping, before its connection is closed.
    /// Default 20 seconds.
    pub ping_timeout: Duration,
    /// The time that a client may read nothing of what is being written to it, before its connection
    /// is closed. Default 60 seconds.
    ///
    /// The time runs only while bytes are waiting, and starts again with each byte that is taken; a
    /// stream without events has no limit. Bytes in the buffer of the kernel count as taken; those in
    /// the buffer of a TLS stream once all of it was taken. The session continues without its reader.
    ///
    /// Over HTTP/2 the limit also applies to each stream, since a client can stall one by flow control
    /// and read the others: the stream is reset, and the connection goes on. A stream is reset after 5
    /// seconds already if responses of the same connection wait for the room that it takes in
    /// [`connection_buffer`](field@Self::connection_buffer). Time during which the socket takes
    /// nothing does not count there.
    pub write_timeout: Duration,
    /// The most bytes of a response that are held, for each stream, while the socket of an HTTP/2 client
    /// takes nothing. Default 128 KiB.
    ///
    /// Over HTTP/1.1 the limit is [`head_bytes`](field@Self::head_bytes) instead. The last frame of a
    /// body may exceed the limit by its own length, which is up to 64 KiB.
    pub stream_buffer: usize,
    /// The most bytes of all responses that are held for one HTTP/2 connection. Default 1 MiB.
    ///
    /// Bytes are held while the socket, or the flow control of the client, doesn't take them. A body is
    /// asked for its next frame only while 64 KiB are free, or nothing is held; a body with frames of
    /// more than 64 KiB may exceed the limit by one. Responses that wait for room begin with their head.
    /// So all clients together make a server hold at most
    /// [`connections`](field@Self::connections) times this limit.
    pub connection_buffer: usize,
    /// The time within which connections must send the rest of their responses, at the end of a
    /// shutdown, before they are cut. Default 5 seconds.
    pub flush_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            head_bytes: 16 * 1024,
            head_fields: 100,
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(5 * 60),
            streams: 100,
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(60),
            stream_buffer: 128 * 1024,
            connection_buffer: 1024 * 1024,
            flush_timeout: Duration::from_secs(5),
        }
    }
}

/// Longer than any process runs, and short enough for every clock.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Bounds a time so that it can be added to a point in time: clocks panic on overflow.
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
    connections: usize, head_bytes: usize, head_fields: usize, head_timeout: Duration, idle_timeout: Duration,
    streams: u32, ping_interval: Duration, ping_timeout: Duration, write_timeout: Duration, stream_buffer: usize,
    connection_buffer: usize, flush_timeout: Duration
}
