use redis::RedisError;

/// An error of opening a [`Redis`](crate::Redis) store.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RedisOpenError {
    /// The URL is malformed, or needs a feature that is off.
    #[error(
        "the URL is not one of a Redis server; write redis://user:password@host:port/db, or rediss:// for TLS with the feature `tls`"
    )]
    Url(#[source] RedisError),
    /// The server did not answer, or refused the credentials or a first command.
    #[error("the Redis server did not answer; check its address, its credentials and that it runs")]
    Unreachable(#[source] RedisError),
    /// The server may drop logs when its memory is full.
    #[error(
        "Redis may drop logs when its memory is full (maxmemory-policy is {policy}); set maxmemory-policy to noeviction, or use a server of its own"
    )]
    Evicts {
        /// The `maxmemory-policy` of the server.
        policy: String,
    },
    /// The server hides its eviction policy.
    #[error(
        "Redis hides its maxmemory-policy; make sure that it is noeviction, then open with RedisOptions::allow_eviction"
    )]
    EvictionUnknown,
    /// The user has no permission to publish, so that no reader would be woken.
    #[error(
        "Redis does not let this user publish under the prefix; the documentation of unbroken-redis lists the permissions that are needed"
    )]
    NotPermitted(#[source] RedisError),
    /// The keys under the prefix have a layout that this version does not know.
    #[error(
        "the keys under the prefix have the layout `{layout}`, and this version knows {latest}; upgrade this server if that is the later one, or use another prefix"
    )]
    Unsupported {
        /// The number of the layout, as it was found.
        layout: String,
        /// The number of the layout that this version knows.
        latest: u32,
    },
    /// The server is too old.
    #[error("Redis {version} is too old; 6.2 is the oldest that works")]
    TooOld {
        /// The version of the server.
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
