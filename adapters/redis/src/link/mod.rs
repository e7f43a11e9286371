//! The connection that commands go over.

#[cfg(feature = "cluster")]
mod cluster;
mod single;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use unbroken::store::StoreError;

pub(crate) use self::single::SingleConnection;

/// Where commands go.
pub(crate) enum CommandConnection {
    /// One server.
    Single(Box<SingleConnection>),
    /// A cluster.
    #[cfg(feature = "cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

/// Why a command has no answer.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// There was no connection: it was not sent.
    Unsent(RedisError),
    /// The server refused it before it did anything.
    Refused(RedisError),
    /// It was sent, and may have been done.
    Lost(RedisError),
}

impl CommandError {
    /// Of a command that was sent.
    fn of_sent(error: RedisError) -> Self {
        use ServerErrorKind as Kind;
        // Our scripts' first write is one that the engine refuses in these states; then none
        // happened. What can also come from further inside a script, such as NOPERM, is not among them.
        const REFUSALS: [&str; 5] = ["OOM", "MISCONF", "NOREPLICAS", "NOAUTH", "BUSY"];
        let refused = match error.kind() {
            ErrorKind::Server(kind) => matches!(
                kind,
                Kind::BusyLoading
                    | Kind::NoScript
                    | Kind::Moved
                    | Kind::Ask
                    | Kind::TryAgain
                    | Kind::ClusterDown
                    | Kind::CrossSlot
                    | Kind::MasterDown
                    | Kind::ReadOnly
            ),
            ErrorKind::Extension => error.code().is_some_and(|code| REFUSALS.contains(&code)),
            _ => false,
        };
        if refused {
            Self::Refused(error)
        } else {
            Self::Lost(error)
        }
    }
}

impl From<CommandError> for StoreError {
    fn from(failure: CommandError) -> Self {
        match failure {
            CommandError::Unsent(error) | CommandError::Refused(error) => {
                Self::unavailable(false, error)
            }
            CommandError::Lost(error) => Self::unavailable(true, error),
        }
    }
}

impl CommandConnection {
    /// Sends a command, once, and waits for its answer.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, CommandError> {
        match self {
            Self::Single(single) => single.send(command).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => cluster::send(connection.clone(), command).await,
        }
    }

    /// Sends a command to every server that takes writes.
    pub(crate) async fn send_to_all(&self, command: &Cmd) -> Result<Vec<Value>, CommandError> {
        match self {
            Self::Single(single) => Ok(vec![single.send(command).await?]),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => cluster::send_to_all(connection.clone(), command).await,
        }
    }
}
