use std::time::Duration;

use unbroken::store::Durability;

/// How a [`Redis`](crate::Redis) store works.
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
    /// What all keys and channels begin with. Default `unbroken:`. Applications that share a server
    /// each take their own.
    pub prefix: String,
    /// How long connecting may take. Default 2 seconds.
    pub connect_timeout: Duration,
    /// How long a command may take. Default 3 seconds. One that takes longer is answered with
    /// `Unavailable`, and its connection is replaced.
    pub response_timeout: Duration,
    /// The most bytes that one append may have. Default 4 MiB. A script stops all else on its
    /// server while its arguments are copied; Redis itself ends at `proto-max-bulk-len`, 512 MiB.
    pub max_append: usize,
    /// For how long a session stays subscribed to after the last waiter has left. Default 5 seconds.
    pub linger: Duration,
    /// What an acknowledged record survives, where that is known better than from the server's
    /// settings: say [`Durability::Host`] for a managed server that logs every write but hides its
    /// configuration. Default: what the settings say.
    pub durability: Option<Durability>,
    /// Opens a server that may evict logs, or that hides whether it may. Default no.
    pub trust_eviction: bool,
}

impl RedisOptions {
    /// The defaults.
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

    /// Sets [`max_append`](field@Self::max_append).
    pub fn max_append(mut self, bytes: usize) -> Self {
        self.max_append = bytes;
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

    /// Sets [`trust_eviction`](field@Self::trust_eviction).
    pub fn trust_eviction(mut self) -> Self {
        self.trust_eviction = true;
        self
    }
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            prefix: "unbroken:".to_owned(),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(3),
            max_append: 4 << 20,
            linger: Duration::from_secs(5),
            durability: None,
            trust_eviction: false,
        }
    }
}
