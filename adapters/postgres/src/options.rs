use std::time::Duration;

use unbroken::store::Durability;

use crate::{Listen, PostgresOpenError};

/// The options of a [`Postgres`](crate::Postgres) store.
///
/// ```
/// use std::time::Duration;
/// use unbroken_postgres::{Listen, PostgresOptions};
///
/// let direct = PostgresOptions::new().schema("chat_logs").pool_size(32);
/// let pooled = PostgresOptions::new()
///     .prepared(false)
///     .listen(Listen::url("postgres://app@db.internal:5432/app")?);
/// # Ok::<_, unbroken_postgres::PostgresOpenError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// The schema of the tables, created if it is absent. Default `unbroken`.
    ///
    /// A name has 1 to 40 characters of `a-z`, `0-9` and `_`, and begins with a letter.
    pub schema: String,
    /// The most connections of the pool, apart from the one that listens. Default 16.
    pub pool_size: usize,
    /// The time for which a call waits for a connection of the pool before it fails with `Unavailable`.
    /// Default 5 seconds. A pool of the application has its own limit.
    pub pool_wait: Duration,
    /// The time within which a connection must be made. Default 5 seconds, unless the URL has one.
    pub connect_timeout: Duration,
    /// The time after which the server cancels a statement, which is then not applied. Default 10
    /// seconds.
    ///
    /// The limit is not sent to the server without [`prepared`](Self::prepared) statements, or with a
    /// pool of the application. In any case a call without a reply 5 seconds after this time fails with
    /// `Unavailable`, and the statement may be applied.
    pub statement_timeout: Duration,
    /// The bytes per second of the slowest link that counts as working. Default 256 KiB.
    ///
    /// A call that sends or receives more than 512 KiB has a second more than
    /// [`statement_timeout`](Self::statement_timeout) for each time that so many bytes are moved: an append of
    /// 16 MiB has 74 seconds by default. Its statement runs in a transaction that tells the server so. At most
    /// half of the connections move such values at a time.
    pub min_bytes_per_second: usize,
    /// True if statements are prepared and kept with their connection. Default true.
    ///
    /// Set it to false behind a pooler in transaction mode (pgbouncer's `pool_mode=transaction`). Each
    /// call is then one round trip with an unnamed statement, which the server plans each time.
    pub prepared: bool,
    /// The way in which waits learn of changes by other servers. Default [`Listen::store_url`].
    pub listen: Listen,
    /// True if other servers are notified of changes. Default true.
    ///
    /// The only store on a schema needs no notifications, and gains some throughput without.
    pub notify: bool,
    /// True if an absent schema is created, and an old one migrated. Default true.
    ///
    /// If false, the role needs no permission to create anything.
    pub migrate: bool,
    /// The durability of acknowledged records. Default `None`: derived from the settings of the
    /// server. See [`Postgres`](crate::Postgres), "Durability".
    pub durability: Option<Durability>,
    /// The most bytes of one append. Default 16 MiB; at most 256 MiB, which is also the most that the request of a
    /// session may have.
    pub max_append_bytes: usize,
    /// The most tombstones of deleted and expired sessions. Default 1,000,000.
    ///
    /// A tombstone is kept for the time that the registry says, by default a day, unless this many newer
    /// ones have been made meanwhile: a sweep removes the oldest first. Its id is then free. Each takes
    /// about 1 KiB with its indexes.
    pub max_tombstones: usize,
}

impl PostgresOptions {
    /// The largest value of [`max_append_bytes`](field@Self::max_append_bytes), in bytes.
    pub const MAX_APPEND_LIMIT: usize = 256 << 20;

    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn checked(mut self) -> Result<Self, PostgresOpenError> {
        let name = self.schema.as_bytes();
        let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_';
        let begins = name.first().is_some_and(u8::is_ascii_lowercase);
        if !begins || name.len() > 40 || !name.iter().all(allowed) {
            return Err(PostgresOpenError::SchemaName);
        }
        self.pool_size = self.pool_size.max(1);
        self.max_append_bytes = self.max_append_bytes.clamp(1, Self::MAX_APPEND_LIMIT);
        Ok(self)
    }
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: "unbroken".to_owned(),
            pool_size: 16,
            pool_wait: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            min_bytes_per_second: 256 << 10,
            prepared: true,
            listen: Listen::store_url(),
            notify: true,
            migrate: true,
            durability: None,
            max_append_bytes: 16 << 20,
            max_tombstones: 1_000_000,
        }
    }
}

macro_rules! setters {
    ($($field:ident: $Type:ty),* $(,)?) => {
        impl PostgresOptions {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](field@Self::", stringify!($field), ").")]
                pub fn $field(mut self, $field: $Type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

impl PostgresOptions {
    /// Sets [`schema`](field@Self::schema).
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }
}

setters! {
    pool_size: usize,
    pool_wait: Duration,
    connect_timeout: Duration,
    statement_timeout: Duration,
    min_bytes_per_second: usize,
    prepared: bool,
    listen: Listen,
    notify: bool,
    migrate: bool,
    durability: Option<Durability>,
    max_append_bytes: usize,
    max_tombstones: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_could_break_out_of_its_quotes_is_refused() {
        for bad in ["", "1a", "A", "a b", "a\"b", "a;b", "_a", &"a".repeat(41)] {
            let checked = PostgresOptions::new().schema(bad).checked();
            assert!(
                matches!(checked, Err(PostgresOpenError::SchemaName)),
                "{bad}"
            );
        }
        for good in ["a", "chat_logs_2", &"a".repeat(40)] {
            assert!(
                PostgresOptions::new().schema(good).checked().is_ok(),
                "{good}"
            );
        }
    }
}
