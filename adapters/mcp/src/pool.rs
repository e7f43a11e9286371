use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::{ConnectError, connection::McpConnection, listed::ListedTools, settings::Settings};

/// The connections to one server. A call takes one while it runs.
pub(crate) struct Pool {
    pub(crate) settings: Arc<Settings>,
    pub(crate) listed: Weak<ListedTools>,
    open: Mutex<OpenConnections>,
    // Of a connection, or of the place of one.
    released: Notify,
}

#[derive(Default)]
struct OpenConnections {
    connections: Vec<Arc<McpConnection>>,
    // The number of those that are being opened.
    opening: usize,
}

/// The place of a connection that is being opened.
struct OpeningConnection<'a>(&'a Pool);

/// A connection that is taken.
pub(crate) struct TakenConnection {
    connection: Arc<McpConnection>,
    pool: Arc<Pool>,
}

impl Pool {
    pub(crate) fn new(settings: Arc<Settings>, listed: &Arc<ListedTools>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            listed: Arc::downgrade(listed),
            open: Mutex::default(),
            released: Notify::new(),
        })
    }

    /// Takes a connection: one that is free, or a new one, or the first that becomes free.
    ///
    /// # Errors
    ///
    /// If a new one can't be opened.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Result<TakenConnection, ConnectError> {
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            let opening = {
                let mut open = self.usable();
                if let Some(free) = open.connections.iter().find(|it| it.is_free()) {
                    return Ok(self.lease(free));
                }
                let most = match open.connections.first() {
                    Some(first) if first.is_exclusive() => self.settings.processes,
                    _ => 1,
                };
                let has_place = open.connections.len() + open.opening < most;
                has_place.then(|| {
                    open.opening += 1;
                    OpeningConnection(self)
                })
            };
            if let Some(opening) = opening {
                let within = self.settings.connect_timeout;
                let opened = tokio::time::timeout(within, McpConnection::open(self)).await;
                let opened = opened.map_err(|_| ConnectError::TimedOut { within })??;
                let connection = Arc::new(opened);
                let taken = self.lease(&connection);
                self.usable().connections.push(connection);
                drop(opening);
                return Ok(taken);
            }
            released.await;
        }
    }

    /// Returns the connections that are of use, and forgets the others.
    fn usable(&self) -> MutexGuard<'_, OpenConnections> {
        let mut open = self.lock();
        open.connections.retain(|connection| connection.is_usable());
        open
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(self: &Arc<Self>, connection: &Arc<McpConnection>) -> TakenConnection {
        connection.take();
        TakenConnection {
            connection: Arc::clone(connection),
            pool: Arc::clone(self),
        }
    }
}

impl std::ops::Deref for TakenConnection {
    type Target = Arc<McpConnection>;

    fn deref(&self) -> &Arc<McpConnection> {
        &self.connection
    }
}

impl Drop for TakenConnection {
    fn drop(&mut self) {
        self.connection.give_back();
        // One that isn't of use any more ends now, and not when the next call comes.
        drop(self.pool.usable());
        self.pool.released.notify_waiters();
    }
}

impl Drop for OpeningConnection<'_> {
    fn drop(&mut self) {
        self.0.lock().opening -= 1;
        self.0.released.notify_waiters();
    }
}
