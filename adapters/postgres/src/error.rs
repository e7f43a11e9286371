use unbroken::BoxError;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresOpenError {
    /// The URL is not one of PostgreSQL's.
    #[error("the URL is not of the form postgres://user@host:5432/database")]
    Url(#[source] tokio_postgres::Error),
    /// The schema's name can't be used.
    #[error("a schema's name has 1 to 40 characters of a-z, 0-9 and _, and begins with a letter")]
    SchemaName,
    /// The URL asks for TLS, and there is none in this build.
    #[error(
        "the URL says sslmode=require: turn on the feature `tls`, or use `Postgres::open_with`"
    )]
    TlsMissing,
    /// TLS could not be set up.
    #[error("the system's root certificates could not be read")]
    Tls(#[source] BoxError),
    /// A pool of the application's own can't listen.
    #[error("a pool can't listen: name with `Options::listen` what to listen on, or poll")]
    Listen,
    /// The server did not answer.
    #[error("PostgreSQL did not answer, or refused; check the URL and the server's log")]
    Unavailable(#[source] BoxError),
    /// The schema is newer than this version of the library.
    #[error(
        "the schema has migration {found}, and this version knows {known}; upgrade this server"
    )]
    NewerSchema {
        /// The number of the schema's last migration.
        found: i32,
        /// The number of the last one that this version knows.
        known: i32,
    },
    /// The schema is older than this version of the library needs, and was not to be migrated.
    #[error(
        "the schema has migration {found}, and this version needs {needed}; open it once with \
         `Options::migrate`"
    )]
    OlderSchema {
        /// The number of the schema's last migration; 0 where there is none.
        found: i32,
        /// The number of the migration that this version needs.
        needed: i32,
    },
}
