use std::{fmt, time::Duration};

use tokio_postgres::Config;

use crate::{
    PostgresOpenError, Tls,
    connect::{ConnectFn, connect_by_url, connect_fn, parse_url},
};

/// The way in which waits learn of changes by other servers.
///
/// A change through the same store wakes its waits in any case, and no wait is longer than two seconds.
#[derive(Clone)]
pub struct Listen(pub(crate) ListenMode);

#[derive(Clone)]
pub(crate) enum ListenMode {
    StoreUrl,
    Connection(ConnectFn),
    Poll(Duration),
}

impl Listen {
    /// Uses `LISTEN` on a connection to the URL of the store. Doesn't work through a pooler in
    /// transaction mode.
    pub fn store_url() -> Self {
        Self(ListenMode::StoreUrl)
    }

    /// Uses `LISTEN` on a connection to another URL: that of the server itself, if the URL of the store
    /// is that of a pooler.
    ///
    /// # Errors
    ///
    /// Returns [`PostgresOpenError::Url`] if the URL is malformed, and [`PostgresOpenError::TlsMissing`]
    /// or [`PostgresOpenError::Tls`] under the same conditions as
    /// [`Postgres::open`](crate::Postgres::open).
    pub fn url(url: &str) -> Result<Self, PostgresOpenError> {
        let config = parse_url(url)?;
        Ok(Self(ListenMode::Connection(connect_by_url(&config)?)))
    }

    /// Uses `LISTEN` on a connection with this configuration and TLS.
    pub fn config(config: Config, tls: impl Tls) -> Self {
        Self(ListenMode::Connection(connect_fn(config, tls)))
    }

    /// Polls without `LISTEN`: a wait reads the row of the session in this interval, at least 10 ms.
    ///
    /// Costs one indexed read in each interval for each session with a waiter; 100 ms is a fair choice.
    pub fn poll(interval: Duration) -> Self {
        Self(ListenMode::Poll(interval.max(Duration::from_millis(10))))
    }
}

impl fmt::Debug for Listen {
    // The address and the password are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ListenMode::StoreUrl => f.write_str("Listen::store_url"),
            ListenMode::Connection(_) => f.write_str("Listen::url(…)"),
            ListenMode::Poll(interval) => write!(f, "Listen::poll({interval:?})"),
        }
    }
}
