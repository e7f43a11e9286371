use redis::RedisError;

/// Why a store was not opened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOpenError {
    /// The URL can't be used.
    #[error(
        "this is no URL of a Redis server (redis://user:password@host:port/db; rediss:// for TLS, with the feature `tls`)"
    )]
    Url(#[source] RedisError),
    /// The server did not answer, or does not let us in.
    #[error("the Redis server did not answer; check its address, its credentials and that it runs")]
    Unreachable(#[source] RedisError),
    /// The server may drop logs when its memory is full.
    #[error(
        "Redis may drop logs when its memory is full (maxmemory-policy is {policy}); set maxmemory-policy to noeviction, or use a server of its own"
    )]
    Evicts {
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// The server doesn't say whether it may drop logs.
    #[error(
        "Redis does not let us see its maxmemory-policy; make sure that it is noeviction, then open with Options::trust_eviction"
    )]
    EvictionUnknown,
    /// The user may not publish, so that nobody would be woken.
    #[error(
        "Redis does not let this user publish under the prefix; the documentation of unbroken-redis lists the permissions that are needed"
    )]
    NotPermitted(#[source] RedisError),
    /// The server is too old.
    #[error("Redis {version} is too old; 6.2 is the oldest that works")]
    TooOld {
        /// Its version.
        version: String,
    },
    /// The server is a node of a cluster.
    #[error(
        "this server is a node of a cluster; open it with Redis::open_cluster (feature `cluster`)"
    )]
    IsCluster,
    /// No URL was given.
    #[error("name at least one server of the cluster")]
    NoServer,
}
