use deadpool_postgres::{Object, Pool};
use tokio_postgres::types::Type;

use crate::{PostgresOpenError, PostgresOptions, sql::fill};

/// The migrations. New ones are added; none is ever changed or removed.
const MIGRATIONS: &[(i32, &str)] = &[
    (1, include_str!("migrations/0001.sql")),
    (2, include_str!("migrations/0002.sql")),
    (3, include_str!("migrations/0003.sql")),
    (4, include_str!("migrations/0004.sql")),
];

/// Migrates the schema to the version that this library needs.
pub(crate) async fn run(pool: &Pool, options: &PostgresOptions) -> Result<(), PostgresOpenError> {
    let client = pool.get().await;
    let mut client = client.map_err(|error| PostgresOpenError::Unavailable(error.into()))?;
    let needed = MIGRATIONS.last().map_or(0, |last| last.0);
    let found = found(&client, &options.schema).await?;
    if found > needed {
        return Err(PostgresOpenError::NewerSchema {
            found,
            known: needed,
        });
    }
    if found == needed {
        return Ok(());
    }
    if !options.migrate {
        return Err(PostgresOpenError::OlderSchema { found, needed });
    }
    migrate(&mut client, &options.schema).await
}

/// Returns the number of the last migration; 0 if there is none.
async fn found(client: &Object, schema: &str) -> Result<i32, PostgresOpenError> {
    let exists = client
        .query_typed(
            "SELECT to_regclass($1) IS NOT NULL",
            &[(&format!("\"{schema}\".migrations"), Type::TEXT)],
        )
        .await
        .map_err(unavailable)?;
    if !exists.first().is_some_and(|row| row.get(0)) {
        return Ok(0);
    }
    let last = fill(schema, "SELECT coalesce(max(number), 0) FROM @S.migrations");
    let rows = client.query_typed(&last, &[]).await.map_err(unavailable)?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

/// Runs all migrations in one transaction, under a lock that other servers wait for.
async fn migrate(client: &mut Object, schema: &str) -> Result<(), PostgresOpenError> {
    let work = async {
        let transaction = client.build_transaction().start().await?;
        let lock =
            format!("SELECT pg_advisory_xact_lock(hashtextextended('unbroken {schema}', 0))");
        transaction.batch_execute(&lock).await?;
        // Not `IF NOT EXISTS`, which needs the permission to create schemas even if this one exists.
        let absent = transaction
            .query_typed(
                "SELECT to_regnamespace($1) IS NULL",
                &[(&format!("\"{schema}\""), Type::TEXT)],
            )
            .await?;
        if absent.first().is_some_and(|row| row.get(0)) {
            let create = format!("CREATE SCHEMA \"{schema}\"");
            transaction.batch_execute(&create).await?;
        }
        let table = "CREATE TABLE IF NOT EXISTS @S.migrations (
                number integer PRIMARY KEY,
                applied timestamptz NOT NULL DEFAULT clock_timestamp()
            )";
        transaction.batch_execute(&fill(schema, table)).await?;
        for (number, text) in MIGRATIONS {
            let insert = "INSERT INTO @S.migrations (number) VALUES ($1) ON CONFLICT DO NOTHING \
                RETURNING number";
            let insert = fill(schema, insert);
            let inserted = transaction
                .query_typed(&insert, &[(number, Type::INT4)])
                .await?;
            if !inserted.is_empty() {
                transaction.batch_execute(&fill(schema, text)).await?;
            }
        }
        transaction.commit().await
    };
    work.await.map_err(unavailable)
}

fn unavailable(error: tokio_postgres::Error) -> PostgresOpenError {
    PostgresOpenError::Unavailable(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the FNV-1a hash of a text.
    fn hash(text: &str) -> u64 {
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    #[test]
    fn a_migration_is_never_changed_or_removed() {
        let known: [(i32, u64); 4] = [
            (1, 0xae6a_dadb_86dc_c2aa),
            (2, 0x6e2b_fe38_472e_ed1f),
            (3, 0x2514_8b1b_542a_3005),
            (4, 0x5750_71d2_9a15_02fa),
        ];
        let found: Vec<_> = MIGRATIONS
            .iter()
            .map(|(n, text)| (*n, hash(text)))
            .collect();
        assert_eq!(
            found, known,
            "a change of the schema is another migration, with its line here"
        );
    }
}
