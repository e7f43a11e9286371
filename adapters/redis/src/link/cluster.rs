use redis::{
    Cmd, ErrorKind, RedisError, ServerErrorKind, Value,
    aio::ConnectionLike,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo},
};

use tokio::sync::OnceCell;

use super::{CommandError, is_damage, is_large, is_too_large};

/// The connections to a cluster: one for small commands, and one for those that move many bytes.
pub(crate) struct ClusterLanes {
    small: ClusterConnection,
    large: LargeLane,
}

/// The connection for commands that move many bytes.
enum LargeLane {
    /// That for small commands, which the application made.
    Shared,
    /// A connection that is made for the first of them. The client has one time for all commands, that of the
    /// largest.
    Separate(Box<ClusterClient>, OnceCell<ClusterConnection>),
}

impl ClusterLanes {
    /// Uses a connection of the application for all commands.
    pub(crate) fn shared(connection: ClusterConnection) -> Self {
        Self {
            small: connection,
            large: LargeLane::Shared,
        }
    }

    /// Uses a connection for small commands, and makes another with `large` when it is needed.
    pub(crate) fn separate(small: ClusterConnection, large: ClusterClient) -> Self {
        Self {
            small,
            large: LargeLane::Separate(Box::new(large), OnceCell::new()),
        }
    }

    /// Sends a command that moves so many bytes, its reply included, to the server that has its key.
    ///
    /// The client follows redirections, and repeats a command whose connection broke. That is safe, as
    /// every script can be repeated, even late.
    pub(super) async fn send(&self, command: &Cmd, bytes: usize) -> Result<Value, CommandError> {
        let mut connection = match &self.large {
            LargeLane::Separate(client, made) if is_large(bytes) => {
                let connect = || client.get_async_connection();
                let made = made.get_or_try_init(connect).await;
                made.map_err(CommandError::Unsent)?.clone()
            }
            LargeLane::Separate(..) | LargeLane::Shared => self.small.clone(),
        };
        let answer = connection.req_packed_command(command).await;
        answer.and_then(Value::extract_error).map_err(failure)
    }

    /// Sends a command to every primary.
    pub(super) async fn send_to_all(&self, command: &Cmd) -> Result<Vec<Value>, CommandError> {
        let everywhere = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let mut connection = self.small.clone();
        let answer = connection.route_command(command.clone(), everywhere).await;
        match answer.and_then(Value::extract_error) {
            Ok(Value::Map(answers)) => Ok(answers.into_iter().map(|(_, answer)| answer).collect()),
            Ok(Value::Array(answers)) => Ok(answers),
            Ok(_) => {
                let odd = "the cluster sent an unexpected reply";
                let error = RedisError::from((ErrorKind::UnexpectedReturnType, odd));
                Err(CommandError::Lost(error))
            }
            Err(error) => Err(failure(error)),
        }
    }
}

/// Classifies an error. An attempt before the last may have been applied and have lost its answer,
/// whatever the last one reports.
fn failure(error: RedisError) -> CommandError {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoScript) => CommandError::Refused(error),
        _ if is_damage(&error) => CommandError::Damaged(error),
        _ if is_too_large(&error) => CommandError::TooLarge(error),
        _ => CommandError::Lost(error),
    }
}
