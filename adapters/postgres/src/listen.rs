use std::{fmt, time::Duration};

use tokio_postgres::Config;

use crate::{
    PostgresOpenError, Tls,
    connect::{ConnectFn, configured, dial, dial_as_url_says},
};

/// How waits learn of changes that other servers made.
///
/// Changes made through the same store wake its waits in any case, and no wait is longer than two
/// seconds.
#[derive(Clone)]
pub struct Listen(pub(crate) ListenMode);

#[derive(Clone)]
pub(crate) enum ListenMode {
    Same,
    Dial(ConnectFn),
    Poll(Duration),
}

impl Listen {
    /// `LISTEN` on a connection to where the store's URL points. Doesn't work through a pooler that
    /// hands out connections by the transaction.
    pub fn same() -> Self {
        Self(ListenMode::Same)
    }

    /// `LISTEN` on a connection to another URL: one that leads to the server itself, where the
    /// store's leads to a pooler.
    ///
    /// # Errors
    ///
    /// [`PostgresOpenError::Url`]; [`PostgresOpenError::TlsMissing`] and [`PostgresOpenError::Tls`] as
    /// [`Postgres::open`](crate::Postgres::open).
    pub fn url(url: &str) -> Result<Self, PostgresOpenError> {
        let config = configured(url)?;
        Ok(Self(ListenMode::Dial(dial_as_url_says(&config)?)))
    }

    /// `LISTEN` on a connection made with this configuration and TLS.
    pub fn config(config: Config, tls: impl Tls) -> Self {
        Self(ListenMode::Dial(dial(config, tls)))
    }

    /// No `LISTEN`: a wait reads the session's row again after each such interval, at the least 10
    /// ms. Costs one indexed read an interval for each session that is waited for; 100 ms is a fair
    /// choice.
    pub fn poll(interval: Duration) -> Self {
        Self(ListenMode::Poll(interval.max(Duration::from_millis(10))))
    }
}

impl fmt::Debug for Listen {
    // Where to, and with what password, is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ListenMode::Same => f.write_str("Listen::same"),
            ListenMode::Dial(_) => f.write_str("Listen::url(…)"),
            ListenMode::Poll(interval) => write!(f, "Listen::poll({interval:?})"),
        }
    }
}
