use crate::{
    RedisOpenError,
    keys::KeyNames,
    link::{CommandConnection, CommandError},
    script::LuaScripts,
};

/// The layout of the keys that this version writes.
///
/// A change of the keys, or of the values in them, takes the next number. The fixture of the former one stays
/// in `tests/redis/layouts`.
///
/// 2 has the outbox: more fields of a session, the key `ending`, the sets of pending endings, and the service in the
/// members of their sessions in the indexes by time.
pub(crate) const LATEST: u32 = 2;
/// The earliest layout whose sessions this version reads.
const EARLIEST: u32 = 1;

/// Checks that this version reads the keys under the prefix. Where their number is an earlier one, or there is none
/// yet, writes that of this version, so that an earlier version doesn't open them any more.
pub(crate) async fn check(
    link: &CommandConnection,
    keys: &KeyNames,
    scripts: &LuaScripts,
) -> Result<(), RedisOpenError> {
    let call = scripts.layout.on([keys.layout()]);
    let reply = call.arg(LATEST).arg(EARLIEST).send(link).await;
    let mut reply =
        reply.map_err(|error| RedisOpenError::Unreachable(CommandError::into_source(error)))?;
    let found = reply.text().unwrap_or_default();
    if found == LATEST.to_string() {
        return Ok(());
    }
    Err(RedisOpenError::Unsupported {
        layout: found,
        latest: LATEST,
    })
}
