//! The connection that commands go over.

#[cfg(feature = "cluster")]
mod cluster;
mod lane;
mod response_time;
mod single;

use redis::{Arg, Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use unbroken::store::StoreError;

#[cfg(feature = "cluster")]
pub(crate) use self::cluster::ClusterLanes;
use self::lane::CommandLane;
pub(crate) use self::{
    response_time::{ResponseTime, is_large},
    single::SingleConnection,
};
use crate::reply::unreadable;

/// The connection to a server or a cluster.
pub(crate) enum CommandConnection {
    /// One server.
    Single(Box<SingleConnection>),
    /// A cluster.
    #[cfg(feature = "cluster")]
    Cluster(Box<ClusterLanes>),
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
    /// A value of the command is longer than the server takes, which closes its connection. Nothing was applied.
    TooLarge(RedisError),
    /// A key of the session has the wrong type, or holds what its script can't read. It would be the same the
    /// next time.
    Damaged(RedisError),
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
        if is_damage(&error) {
            Self::Damaged(error)
        } else if is_too_large(&error) {
            Self::TooLarge(error)
        } else if refused {
            Self::Refused(error)
        } else {
            Self::Lost(error)
        }
    }

    /// Returns the error of the engine's client.
    pub(crate) fn into_source(self) -> RedisError {
        match self {
            Self::Unsent(error)
            | Self::Refused(error)
            | Self::Lost(error)
            | Self::TooLarge(error)
            | Self::Damaged(error) => error,
        }
    }

    fn source(&self) -> &RedisError {
        match self {
            Self::Unsent(error)
            | Self::Refused(error)
            | Self::Lost(error)
            | Self::TooLarge(error)
            | Self::Damaged(error) => error,
        }
    }
}

/// Returns true if the server did not take a value of the command for its length.
fn is_too_large(error: &RedisError) -> bool {
    let is = |detail: &str| detail.contains("Protocol error: invalid bulk length");
    error.detail().is_some_and(is)
}

/// Returns true if the error is one of the values that a script found. Before Redis 7 the code of such an error is
/// part of the message.
fn is_damage(error: &RedisError) -> bool {
    const WRONG_TYPE: &str = "WRONGTYPE";
    // An operation of Lua on a field that isn't there, and an entry of a log that lies past its tail.
    const IN_SCRIPT: [&str; 4] = [
        WRONG_TYPE,
        "attempt to ",
        "bad argument ",
        "ID specified in XADD",
    ];
    let is_in_script = |detail: &str| {
        detail.contains("user_script") && IN_SCRIPT.iter().any(|part| detail.contains(part))
    };
    error.code() == Some(WRONG_TYPE) || error.detail().is_some_and(is_in_script)
}

impl From<CommandError> for StoreError {
    fn from(failure: CommandError) -> Self {
        match failure {
            CommandError::Unsent(error)
            | CommandError::Refused(error)
            | CommandError::TooLarge(error) => Self::unavailable(false, error),
            CommandError::Lost(error) => Self::unavailable(true, error),
            CommandError::Damaged(error) => unreadable(&error),
        }
    }
}

impl CommandConnection {
    /// Sends a command and waits for its reply, which is small.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, CommandError> {
        self.send_for(command, 0).await
    }

    /// Sends a command and waits for its reply, which has about as many bytes.
    pub(crate) async fn send_for(
        &self,
        command: &Cmd,
        reply: usize,
    ) -> Result<Value, CommandError> {
        let bytes = bytes(command).saturating_add(reply);
        match self {
            Self::Single(single) => single.send(command, bytes).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.send(command, bytes).await,
        }
    }

    /// Sends a command to every server that takes writes.
    pub(crate) async fn send_to_all(&self, command: &Cmd) -> Result<Vec<Value>, CommandError> {
        match self {
            Self::Single(_) => Ok(vec![self.send(command).await?]),
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.send_to_all(command).await,
        }
    }
}

/// Returns the bytes of a command's arguments.
fn bytes(command: &Cmd) -> usize {
    let args = command.args_iter().map(|arg| match arg {
        Arg::Simple(arg) => arg.len(),
        _ => 0,
    });
    args.sum()
}
