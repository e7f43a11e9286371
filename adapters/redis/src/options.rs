use std::time::Duration;

use unbroken::{log::DEFAULT_SESSION_BYTES, store::Durability};

/// The options of a [`Redis`](crate::Redis) store.
///
/// ```
/// use unbroken_redis::RedisOptions;
///
/// let options = RedisOptions::new().prefix("chat:");
/// # drop(options);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisOptions {
    /// The prefix of all keys and channels. Default `unbroken:`.
    ///
    /// Applications that share a server need a prefix each.
    pub prefix: String,
    /// The time within which a connection must be made. Default 2 seconds.
    pub connect_timeout: Duration,
    /// The time within which a command without many bytes must be answered. Default 3 seconds.
    ///
    /// A command that takes longer fails with `Unavailable`, and its connection is replaced.
    pub response_timeout: Duration,
    /// The bytes per second of the slowest link that counts as working. Default 256 KiB.
    ///
    /// A command has a second more than [`response_timeout`](Self::response_timeout) for each time that so many
    /// bytes are sent or received for it: an append of 16 MiB has 67 seconds by default. Commands of more than
    /// 512 KiB go over a connection of their own.
    pub min_bytes_per_second: usize,
    /// The most bytes of one append. Default 16 MiB, as many as a session may have by default: the
    /// arguments of a call, or a picture, are one record.
    ///
    /// The server does nothing else while it copies the arguments of a script. Lower limits of Redis
    /// itself count too, also for the request of a session: `proto-max-bulk-len` (512 MiB unless it is set) and
    /// `client-query-buffer-limit`. Where the server hides them, they are 512 MiB, and 1 MiB from its first
    /// refusal on.
    pub max_append_bytes: usize,
    /// The most tombstones of sessions that were deleted or have expired. Default 1,000,000.
    ///
    /// Above it the oldest are dropped before their time, and their ids answer `NotFound` instead of `Gone`. A
    /// tombstone is the id, the owner and the digest, some 400 bytes in Redis with an owner of 36 bytes. All
    /// servers that share a Redis need the same number.
    pub max_tombstones: usize,
    /// The time for which a session stays subscribed to after its last waiter has left. Default 5
    /// seconds.
    pub linger: Duration,
    /// The durability of acknowledged records. Default `None`: derived from the settings of the
    /// server.
    ///
    /// Set [`Durability::Host`] for a managed server that logs every write but hides its
    /// configuration.
    pub durability: Option<Durability>,
    /// True if a server is accepted that may evict logs, or that hides its eviction policy. Default
    /// false.
    pub allow_eviction: bool,
}

impl RedisOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`prefix`](field@Self::prefix).
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets [`connect_timeout`](field@Self::connect_timeout).
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets [`response_timeout`](field@Self::response_timeout).
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Sets [`min_bytes_per_second`](field@Self::min_bytes_per_second).
    pub fn min_bytes_per_second(mut self, bytes: usize) -> Self {
        self.min_bytes_per_second = bytes;
        self
    }

    /// Sets [`max_append_bytes`](field@Self::max_append_bytes).
    pub fn max_append_bytes(mut self, bytes: usize) -> Self {
        self.max_append_bytes = bytes;
        self
    }

    /// Sets [`max_tombstones`](field@Self::max_tombstones).
    pub fn max_tombstones(mut self, count: usize) -> Self {
        self.max_tombstones = count;
        self
    }

    /// Sets [`linger`](field@Self::linger).
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Sets [`durability`](field@Self::durability).
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Sets [`allow_eviction`](field@Self::allow_eviction).
    pub fn allow_eviction(mut self, allow: bool) -> Self {
        self.allow_eviction = allow;
        self
    }
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            prefix: "unbroken:".to_owned(),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(3),
            min_bytes_per_second: 256 << 10,
            max_append_bytes: DEFAULT_SESSION_BYTES,
            max_tombstones: 1_000_000,
            linger: Duration::from_secs(5),
            durability: None,
            allow_eviction: false,
        }
    }
}
