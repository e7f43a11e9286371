use deadpool_postgres::Pool;
use unbroken::store::Durability;

use crate::PostgresOpenError;

/// Reads the durability from the settings of the server.
pub(crate) async fn read(pool: &Pool) -> Result<Durability, PostgresOpenError> {
    let unavailable = |error: tokio_postgres::Error| PostgresOpenError::Unavailable(error.into());
    let client = pool.get().await;
    let client = client.map_err(|error| PostgresOpenError::Unavailable(error.into()))?;
    let settings = "SELECT current_setting('fsync'), current_setting('synchronous_commit'), \
        current_setting('synchronous_standby_names')";
    let rows = client.query_typed(settings, &[]).await;
    let row = rows.map_err(unavailable)?.into_iter().next();
    let row = row
        .ok_or_else(|| PostgresOpenError::Unavailable("the server returned no settings".into()))?;
    let setting = |at| row.try_get::<_, &str>(at).map_err(unavailable);
    Ok(durability(setting(0)?, setting(1)?, setting(2)?))
}

fn durability(fsync: &str, commit: &str, standbys: &str) -> Durability {
    match commit {
        _ if fsync != "on" => Durability::Process,
        "off" => Durability::Process,
        "on" | "remote_apply" if !standbys.is_empty() => Durability::Replicated,
        _ => Durability::Host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weakest_setting_decides_the_durability() {
        for (fsync, commit, standbys, is) in [
            ("on", "on", "", Durability::Host),
            ("on", "local", "", Durability::Host),
            ("on", "local", "*", Durability::Host),
            ("on", "remote_write", "*", Durability::Host),
            ("on", "on", "*", Durability::Replicated),
            ("on", "remote_apply", "ANY 1 (a, b)", Durability::Replicated),
            ("on", "off", "*", Durability::Process),
            ("off", "on", "*", Durability::Process),
        ] {
            assert_eq!(
                durability(fsync, commit, standbys),
                is,
                "{fsync} {commit} {standbys}"
            );
        }
    }
}
