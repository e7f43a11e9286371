use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, ServerErrorKind, Value,
    aio::MultiplexedConnection,
};
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use super::{CommandError, ResponseTime, is_large};
use crate::backoff::Backoff;

/// One connection to one server, shared by many commands, and replaced when it breaks.
///
/// Unlike the `ConnectionManager` of the client it distinguishes a command that was never sent from one
/// whose reply was lost. Neither repeats a command.
pub(super) struct CommandLane {
    client: Client,
    config: AsyncConnectionConfig,
    time: ResponseTime,
    live: Mutex<Option<LiveConnection>>,
    dial: AsyncMutex<ConnectConfig>,
}

#[derive(Clone)]
struct LiveConnection {
    // The number of this connection.
    number: u64,
    connection: MultiplexedConnection,
    // The bytes of the large commands that it has not answered.
    unanswered: Arc<AtomicUsize>,
}

/// The bytes of a large command, as long as it waits for its reply.
struct UnansweredBytes {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

/// The state of connecting.
struct ConnectConfig {
    connections: u64,
    backoff: Backoff,
    // After a failure: the time of the next attempt, and the error.
    wait: Option<(Instant, RedisError)>,
}

/// The most commands that wait for the socket; the default of the client, 50, is too low for thousands
/// of sessions.
const BUFFER: usize = 1024;

impl CommandLane {
    pub(super) fn new(client: Client, connect: Duration, time: ResponseTime) -> Self {
        Self {
            client,
            config: AsyncConnectionConfig::new()
                .set_connection_timeout(Some(connect))
                .set_response_timeout(Some(time.for_bytes(0)))
                .set_pipeline_buffer_size(BUFFER),
            time,
            live: Mutex::new(None),
            dial: AsyncMutex::new(ConnectConfig {
                connections: 0,
                backoff: Backoff::new(),
                wait: None,
            }),
        }
    }

    /// Sends a command that moves so many bytes, its reply included.
    pub(super) async fn send(&self, command: &Cmd, bytes: usize) -> Result<Value, CommandError> {
        let LiveConnection {
            number,
            mut connection,
            unanswered,
        } = self.connected().await.map_err(CommandError::Unsent)?;
        // A large command is answered once the large ones before it have gone over the link.
        let large = is_large(bytes).then(|| UnansweredBytes::new(unanswered, bytes));
        let ahead = large
            .as_ref()
            .map_or(bytes, UnansweredBytes::with_those_before);
        connection.set_response_timeout(self.time.for_bytes(ahead));
        let answer = connection.send_packed_command(command).await;
        answer.and_then(Value::extract_error).map_err(|error| {
            let breaks = error.is_unrecoverable_error() || error.is_io_error();
            let error = CommandError::of_sent(error);
            // A server that doesn't answer may be behind a dead connection, the address of one that became a
            // replica may lead to its successor, and a server drops a connection with too large a value.
            if breaks || matches!(error, CommandError::TooLarge(_)) || is_replica(error.source()) {
                self.disconnect(number);
            }
            error
        })
    }

    async fn connected(&self) -> Result<LiveConnection, RedisError> {
        if let Some(live) = self.live() {
            return Ok(live);
        }
        let mut dial = self.dial.lock().await;
        // Another command may have connected in the meantime.
        if let Some(live) = self.live() {
            return Ok(live);
        }
        if let Some((until, error)) = &dial.wait
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        let made = self
            .client
            .get_multiplexed_async_connection_with_config(&self.config);
        match made.await {
            Ok(connection) => {
                dial.connections += 1;
                dial.backoff.reset();
                dial.wait = None;
                let live = LiveConnection {
                    number: dial.connections,
                    connection,
                    unanswered: Arc::default(),
                };
                *self.lock() = Some(live.clone());
                Ok(live)
            }
            Err(error) => {
                tracing::warn!(%error, "can't connect to Redis");
                dial.wait = Some((Instant::now() + dial.backoff.next(), error.clone()));
                Err(error)
            }
        }
    }

    fn live(&self) -> Option<LiveConnection> {
        self.lock().clone()
    }

    /// Drops the connection with this number, so that the next command makes a new one.
    fn disconnect(&self, number: u64) {
        let mut live = self.lock();
        if live.as_ref().is_some_and(|live| live.number == number) {
            *live = None;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<LiveConnection>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnansweredBytes {
    fn new(all: Arc<AtomicUsize>, bytes: usize) -> Self {
        all.fetch_add(bytes, Relaxed);
        Self { all, bytes }
    }

    /// Returns the bytes of this command and of the unanswered ones before it.
    fn with_those_before(&self) -> usize {
        self.all.load(Relaxed)
    }
}

impl Drop for UnansweredBytes {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Relaxed);
    }
}

/// Returns true if the server takes no writes, as its error says or, before Redis 7, that of the
/// script.
fn is_replica(error: &RedisError) -> bool {
    let in_script = || error.detail().is_some_and(|it| it.contains("-READONLY"));
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) || in_script()
}
