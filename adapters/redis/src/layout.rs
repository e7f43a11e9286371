use redis::{Cmd, FromRedisValue};

use crate::{
    RedisOpenError,
    keys::KeyNames,
    link::{CommandConnection, CommandError},
};

/// The layout of the keys that this version reads and writes.
///
/// A change of the keys, or of the values in them, takes the next number. The fixture of the former one stays
/// in `tests/redis/layouts`.
pub(crate) const LATEST: u32 = 1;

/// Checks that the keys under the prefix have the layout of this version. Where there is no number yet, writes
/// it.
pub(crate) async fn check(link: &CommandConnection, keys: &KeyNames) -> Result<(), RedisOpenError> {
    let key = keys.layout();
    let mut get = redis::cmd("GET");
    get.arg(&key);
    let mut found: Option<String> = send(link, &get).await?;
    if found.is_none() {
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(LATEST).arg("NX");
        send::<Option<String>>(link, &set).await?;
        // Another server may have been the first to set it.
        found = send(link, &get).await?;
    }
    let found = found.unwrap_or_default();
    if found == LATEST.to_string() {
        return Ok(());
    }
    Err(RedisOpenError::Unsupported {
        layout: found,
        latest: LATEST,
    })
}

async fn send<T: FromRedisValue>(
    link: &CommandConnection,
    command: &Cmd,
) -> Result<T, RedisOpenError> {
    let answer = link.send(command).await;
    let answer = answer.map_err(CommandError::into_source);
    answer
        .and_then(|value| Ok(redis::from_redis_value(value)?))
        .map_err(RedisOpenError::Unreachable)
}
