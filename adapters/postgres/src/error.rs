use unbroken::BoxError;

/// An error of opening a [`Postgres`](crate::Postgres) store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresOpenError {
    /// The URL is malformed.
    #[error("the URL is not of the form postgres://user@host:5432/database")]
    Url(#[source] tokio_postgres::Error),
    /// The name of the schema is invalid.
    #[error("a schema's name has 1 to 40 characters of a-z, 0-9 and _, and begins with a letter")]
    SchemaName,
    /// The URL requires TLS, and the feature `tls` is off.
    #[error(
        "the URL says sslmode=require: turn on the feature `tls`, or use `Postgres::open_with`"
    )]
    TlsMissing,
    /// The root certificates of the system could not be read.
    #[error("the system's root certificates could not be read")]
    Tls(#[source] BoxError),
    /// A pool of the application can't listen, and the options have no other way.
    #[error(
        "a pool can't listen: set `PostgresOptions::listen` to a URL, a configuration, or polling"
    )]
    Listen,
    /// The server did not answer, or refused.
    #[error("PostgreSQL did not answer, or refused; check the URL and the server's log")]
    Unavailable(#[source] BoxError),
    /// The schema is newer than this version of the library.
    #[error(
        "the schema has migration {found}, and this version supports {known}; upgrade this server"
    )]
    NewerSchema {
        /// The number of the schema's last migration.
        found: i32,
        /// The number of the last migration that this version supports.
        known: i32,
    },
    /// The schema is older than this version of the library needs, and the options forbid to migrate
    /// it.
    #[error(
        "the schema has migration {found}, and this version needs {needed}; open it once with \
         `PostgresOptions::migrate`"
    )]
    OlderSchema {
        /// The number of the schema's last migration; 0 if there is none.
        found: i32,
        /// The number of the migration that this version needs.
        needed: i32,
    },
}
