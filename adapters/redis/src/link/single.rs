use redis::{Client, Cmd, Value};

use super::{CommandError, CommandLane, ResponseTime, is_large};
use crate::RedisOptions;

/// The connections to one server: one for small commands, and one for those that move many bytes, so that no
/// renewal of a lease waits behind an append of some megabytes. The second is made when it is needed.
///
/// Commands of the two may overtake each other. A session's own calls don't: each waits for the reply to the
/// one before.
pub(crate) struct SingleConnection {
    small: CommandLane,
    large: CommandLane,
}

impl SingleConnection {
    pub(crate) fn new(client: Client, options: &RedisOptions) -> Self {
        let time = ResponseTime::of(options);
        let connect = options.connect_timeout;
        Self {
            small: CommandLane::new(client.clone(), connect, time),
            large: CommandLane::new(client, connect, time),
        }
    }

    /// Sends a command that moves so many bytes, its reply included.
    pub(super) async fn send(&self, command: &Cmd, bytes: usize) -> Result<Value, CommandError> {
        if is_large(bytes) {
            self.large.send(command, bytes).await
        } else {
            self.small.send(command, bytes).await
        }
    }
}
