use std::time::Duration;

use unbroken::store::Durability;

use crate::{Listen, PostgresOpenError};

/// How a [`Postgres`](crate::Postgres) store is opened.
///
/// ```
/// use std::time::Duration;
/// use unbroken_postgres::{Listen, PostgresOptions};
///
/// let direct = PostgresOptions::default().schema("chat_logs").pool_size(32);
/// let pooled = PostgresOptions::default()
///     .prepared(false)
///     .listen(Listen::url("postgres://app@db.internal:5432/app")?);
/// # Ok::<_, unbroken_postgres::PostgresOpenError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// The schema that holds the tables, made if it is absent. 1 to 40 characters of `a-z`, `0-9`
    /// and `_`, the first one a letter. Default `unbroken`.
    pub schema: String,
    /// The most connections of the pool, besides the one that listens. Default 16.
    pub pool_size: usize,
    /// How long a call waits for a connection of the pool before it answers `Unavailable`. Default
    /// 5 seconds. A pool of the application's own has a limit of its own.
    pub pool_wait: Duration,
    /// How long connecting may take. Default 5 seconds, unless the URL says otherwise.
    pub connect_timeout: Duration,
    /// How long the server may work on one statement; it then gives the statement up, and nothing
    /// of it is applied. Default 10 seconds. Without [`prepared`](Self::prepared) statements, or
    /// with a pool of the application's own, the server isn't told. In any case a call that has had
    /// no reply 5 seconds after this answers `Unavailable`; what the server then does is not known.
    pub statement_timeout: Duration,
    /// Whether statements are prepared and kept with their connection. Default true. False behind a
    /// pooler that hands out connections by the transaction (pgbouncer's `pool_mode=transaction`):
    /// each call is then one round trip with an unnamed statement, which the server plans anew.
    pub prepared: bool,
    /// How a wait learns of changes on other servers. Default [`Listen::same`].
    pub listen: Listen,
    /// Whether other servers are notified of changes. Default true. A store that is the only one on
    /// its schema can do without, at some gain in throughput.
    pub notify: bool,
    /// Whether a schema that is absent or old is made or brought up to date. Default true. If
    /// false, the role needs no right to create anything.
    pub migrate: bool,
    /// What an acknowledged record survives, where the server's settings don't tell. Default
    /// `None`: they tell. See [`Postgres`](crate::Postgres), "Durability".
    pub durability: Option<Durability>,
    /// The most bytes that one append may have. Default 16 MiB; at most 256 MiB.
    pub max_append: usize,
}

impl PostgresOptions {
    /// The most that [`max_append`](field@Self::max_append) can be.
    pub const MOST_APPEND: usize = 256 << 20;

    pub(crate) fn checked(mut self) -> Result<Self, PostgresOpenError> {
        let name = self.schema.as_bytes();
        let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_';
        let begins = name.first().is_some_and(u8::is_ascii_lowercase);
        if !begins || name.len() > 40 || !name.iter().all(allowed) {
            return Err(PostgresOpenError::SchemaName);
        }
        self.pool_size = self.pool_size.max(1);
        self.max_append = self.max_append.clamp(1, Self::MOST_APPEND);
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
            prepared: true,
            listen: Listen::same(),
            notify: true,
            migrate: true,
            durability: None,
            max_append: 16 << 20,
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
    prepared: bool,
    listen: Listen,
    notify: bool,
    migrate: bool,
    durability: Option<Durability>,
    max_append: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_that_could_break_out_of_its_quotes_is_refused() {
        for bad in ["", "1a", "A", "a b", "a\"b", "a;b", "_a", &"a".repeat(41)] {
            let checked = PostgresOptions::default().schema(bad).checked();
            assert!(
                matches!(checked, Err(PostgresOpenError::SchemaName)),
                "{bad}"
            );
        }
        for good in ["a", "chat_logs_2", &"a".repeat(40)] {
            assert!(
                PostgresOptions::default().schema(good).checked().is_ok(),
                "{good}"
            );
        }
    }
}
