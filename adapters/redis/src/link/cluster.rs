use redis::{
    Cmd, ErrorKind, RedisError, ServerErrorKind, Value,
    aio::ConnectionLike,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo},
};

use super::{CommandError, is_damage};

/// Sends a command to the server that has its key.
///
/// The client follows redirections, and repeats a command whose connection broke. That is safe, as
/// every script can be repeated, even late.
pub(super) async fn send(
    mut connection: ClusterConnection,
    command: &Cmd,
) -> Result<Value, CommandError> {
    let answer = connection.req_packed_command(command).await;
    answer.and_then(Value::extract_error).map_err(failure)
}

/// Classifies an error. An attempt before the last may have been applied and have lost its answer,
/// whatever the last one reports.
fn failure(error: RedisError) -> CommandError {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoScript) => CommandError::Refused(error),
        _ if is_damage(&error) => CommandError::Damaged(error),
        _ => CommandError::Lost(error),
    }
}

/// Sends a command to every primary.
pub(super) async fn send_to_all(
    mut connection: ClusterConnection,
    command: &Cmd,
) -> Result<Vec<Value>, CommandError> {
    let everywhere = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
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
