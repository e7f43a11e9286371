use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, ServerErrorKind, Value,
    aio::MultiplexedConnection,
};
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use super::CommandError;
use crate::backoff::Backoff;

/// One connection to one server, shared by all commands, and replaced when it breaks.
///
/// Unlike the `ConnectionManager` of the client it distinguishes a command that was never sent from one
/// whose reply was lost. Neither repeats a command.
pub(crate) struct SingleConnection {
    client: Client,
    config: AsyncConnectionConfig,
    live: Mutex<Option<LiveConnection>>,
    dial: AsyncMutex<ConnectConfig>,
}

#[derive(Clone)]
struct LiveConnection {
    // The number of this connection.
    number: u64,
    connection: MultiplexedConnection,
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

impl SingleConnection {
    pub(crate) fn new(client: Client, connect: Duration, response: Duration) -> Self {
        Self {
            client,
            config: AsyncConnectionConfig::new()
                .set_connection_timeout(Some(connect))
                .set_response_timeout(Some(response))
                .set_pipeline_buffer_size(BUFFER),
            live: Mutex::new(None),
            dial: AsyncMutex::new(ConnectConfig {
                connections: 0,
                backoff: Backoff::new(),
                wait: None,
            }),
        }
    }

    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, CommandError> {
        let LiveConnection {
            number,
            mut connection,
        } = self.connected().await.map_err(CommandError::Unsent)?;
        let answer = connection.send_packed_command(command).await;
        answer.and_then(Value::extract_error).map_err(|error| {
            // A server that doesn't answer may be behind a dead connection, and the address of one that
            // became a replica may lead to its successor.
            if error.is_unrecoverable_error() || error.is_io_error() || is_replica(&error) {
                self.disconnect(number);
            }
            CommandError::of_sent(error)
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

/// Returns true if the server takes no writes, as its error says or, before Redis 7, that of the
/// script.
fn is_replica(error: &RedisError) -> bool {
    let in_script = || error.detail().is_some_and(|it| it.contains("-READONLY"));
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) || in_script()
}
