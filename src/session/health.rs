use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Sessions;
use crate::{
    log::SessionId,
    store::{StoreError, StoreExt},
};

/// The longest time that a probe waits for the store.
const PROBE: Duration = Duration::from_secs(2);

/// The health of one server's sessions, from [`Sessions::health`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The time that the store took to answer just now; `None` if it failed, or didn't answer within 2 seconds.
    pub store_latency: Option<Duration>,
    /// The time since the store's first failure that no success has followed, of all calls of this server; `None`
    /// if there was none.
    pub store_failing_for: Option<Duration>,
    /// True once a [shutdown](Sessions::shutdown) has begun.
    pub draining: bool,
}

impl Health {
    /// Returns true if the server should get new requests: the store answers, and no shutdown has begun. The answer of a
    /// readiness probe.
    ///
    /// A liveness probe needs no more than a response of the process. One that depends on the store restarts all servers
    /// when the store fails, and loses the answers that they would have kept through the outage.
    pub const fn is_ready(&self) -> bool {
        self.store_latency.is_some() && !self.draining
    }
}

impl Sessions {
    /// Asks the store for a session that doesn't exist, and returns the health of this server.
    ///
    /// It costs one small call of the store, however many sessions there are, and takes 2 seconds at most. The causes of
    /// failures are [traced](crate#tracing). Cancel safe.
    ///
    /// ```
    /// use unbroken::session::Sessions;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let sessions = Sessions::in_memory();
    /// let health = sessions.health().await;
    /// assert!(health.is_ready());
    /// assert_eq!(health.store_failing_for, None);
    /// # }
    /// ```
    pub async fn health(&self) -> Health {
        let (probe, began) = (SessionId::random(), Instant::now());
        let answer = timeout(PROBE, self.shared.store.state(&probe)).await;
        let answers = match answer {
            Ok(Err(error)) => matches!(error, StoreError::NotFound),
            Ok(Ok(_)) => true,
            Err(_) => false,
        };
        Health {
            store_latency: answers.then(|| began.elapsed()),
            store_failing_for: self.shared.store_failures.failing_for(),
            draining: self.shared.is_closing(),
        }
    }
}
