//! The connection that commands go over.

#[cfg(feature = "cluster")]
mod cluster;
mod single;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use unbroken::store::StoreError;

pub(crate) use self::single::Single;

/// Where commands go.
pub(crate) enum Link {
    /// One server.
    Single(Box<Single>),
    /// A cluster.
    #[cfg(feature = "cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

/// Why a command has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There was no connection: it was not sent.
    Unsent(RedisError),
    /// The server refused it before it did anything.
    Refused(RedisError),
    /// It was sent, and may have been done.
    Lost(RedisError),
}

impl Failure {
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

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unsent(error) | Failure::Refused(error) => Self::unavailable(false, error),
            Failure::Lost(error) => Self::unavailable(true, error),
        }
    }
}

impl Link {
    /// Sends a command, once, and waits for its answer.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, Failure> {
        match self {
            Self::Single(single) => single.send(command).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => cluster::send(connection.clone(), command).await,
        }
    }

    /// Sends a command to every server that takes writes.
    pub(crate) async fn send_to_all(&self, command: &Cmd) -> Result<Vec<Value>, Failure> {
        match self {
            Self::Single(single) => Ok(vec![single.send(command).await?]),
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => cluster::send_to_all(connection.clone(), command).await,
        }
    }
}
