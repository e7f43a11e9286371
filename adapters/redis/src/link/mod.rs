//! The connection that commands go over.

#[cfg(feature = "cluster")]
mod cluster;
mod single;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use unbroken::store::StoreError;

pub(crate) use self::single::SingleConnection;

/// The connection to a server or a cluster.
pub(crate) enum CommandConnection {
    /// One server.
    Single(Box<SingleConnection>),
    /// A cluster.
    #[cfg(feature = "cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

/// An error of a command.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// There was no connection: the command was not sent.
    Unsent(RedisError),
    /// The server refused the command before it changed anything.
    Refused(RedisError),
    /// The command was sent, and may have been applied.
    Lost(RedisError),
}

impl CommandError {
    /// Classifies the error of a command that was sent.
    fn of_sent(error: RedisError) -> Self {
        use ServerErrorKind as Kind;
        // The engine refuses the first write of a script in these states, so that no write happened.
        // Errors that can also come from a later write, such as NOPERM, are not among them.
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
    /// Sends a command and waits for its reply.
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
