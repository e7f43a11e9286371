//! Sessions in PostgreSQL, which every server can read and take over: a
//! [`Store`](unbroken::store::Store).
//!
//! ```no_run
//! use unbroken::session::Sessions;
//! use unbroken_postgres::{PostgresOptions, Postgres};
//!
//! # async fn run() -> Result<(), unbroken_postgres::PostgresOpenError> {
//! let store = Postgres::open("postgres://app@localhost/app", PostgresOptions::default()).await?;
//! let sessions = Sessions::builder(store).build();
//! # Ok(())
//! # }
//! ```
//!
//! The tables are made in a schema of their own, `unbroken` unless [`PostgresOptions`] say otherwise, by
//! numbered migrations under an advisory lock, so that servers may start at once. A schema that is
//! newer than the library is refused: upgrade all servers before one of them migrates. What an
//! acknowledged record survives is the server's to say; see [`Postgres`].
//!
//! # Writes
//!
//! Each write is one statement, which is a transaction of its own: it acts under the lock of the
//! session's row if all is as it has to be, and otherwise does nothing, and the row tells why. An
//! append is one round trip. A call runs on a task: dropped, it still comes to its end, and nothing
//! is ever cancelled in the server. A server's refusal means that nothing was applied; a connection
//! that breaks before the reply, or a reply that doesn't come within
//! [`statement_timeout`](field@PostgresOptions::statement_timeout) and 5 seconds, leaves it open
//! (`maybe_applied`), and the repetition settles it.
//!
//! All times are the database server's, by its wall clock: setting that clock forward ends leases
//! and retentions early, and so may a failover to a host whose clock is ahead. A lease that ends early
//! costs a claim, never a second writer; whoever claims counts the session's age by that clock too.
//!
//! # Records
//!
//! An append is one row: the records' bytes in one value and their lengths in another, keyed by the
//! session's number and the *last* LSN, so that the first row at or after any LSN is one step in the
//! index, and a page may begin and end in the middle of a row. Against a row for each record,
//! measured on one machine of 2 cores with PostgreSQL 15 beside the client, an unoptimised build,
//! records of 65 bytes (`cargo bench -p unbroken-postgres`; other people were at work there, so take
//! the ratios rather than the numbers):
//!
//! | | a row an append, of 64 | of 8 | of 1 | a row a record, 64 an append |
//! |---|---|---|---|---|
//! | replay of 100,000 in pages of 256 KiB | 65 ms | 150 ms | 353 ms | 381 ms |
//! | a page of 4 KiB from anywhere | 0.46 ms | 0.48 ms | 0.55 ms | |
//! | bytes a record on disk | 90 | 83 | 173 | 158 |
//!
//! Appends cost a commit either way: in three runs one session made 1,000 to 2,000 appends of 64 a
//! second, sixteen made 2,700 to 4,200 (170,000 to 270,000 records), and 2,700 to 8,400 of single
//! records. With a row for each record one session made 600 to 2,200 appends of 64.
//!
//! Beside an `INSERT` of the same bytes as one row, a connection for each session, in the same run on two
//! cores that were busy with other work:
//!
//! | sessions at once, records an append | of the `INSERT`s a second | answered later (p50) |
//! |---|---|---|
//! | 1, 64 | 0.88 | 0.3 ms |
//! | 16, 64 | 0.68 | 3.2 ms |
//! | 1, 1 | 0.78 | 1.8 ms |
//! | 16, 1 | 0.58 | 3.9 ms |
//!
//! A row of up to half a page stays in the table; a larger one goes to its TOAST table in pieces, not
//! compressed. The session's row changes with each append, but no index does: 97 of 100 such updates
//! are heap-only. One append takes at most [`max_append`](field@PostgresOptions::max_append) bytes.
//!
//! # Waking
//!
//! A `NOTIFY` takes a lock at commit that is one for the whole database, so none is part of a write.
//! After its commit a change is told to waits of the same store at once, and to other servers by
//! the connection that listens: one statement at a time tells of all that changed since the one
//! before, at a distance of 2 ms. The channels are `<schema>_0` to `<schema>_31`, and a server
//! listens to those alone that it has waited on. A payload has the session's id, which anybody who
//! may connect to the database can listen to. From the commit on one server to the end of the wait
//! on another: p50 0.7 ms, p99 1 ms on an idle machine.
//!
//! A notification that is lost costs two seconds at most: no wait is longer. When the connection that
//! listens breaks, all waits return at once, and until it is back (after 50 ms at first, 5 seconds at
//! most, each with jitter) they look again every 250 ms.
//!
//! # Behind pgbouncer
//!
//! In transaction mode a connection is somebody else's after each statement: it keeps no prepared
//! statements (before pgbouncer 1.21) and can't listen, which nothing reports: waits would take two
//! seconds. So:
//!
//! ```no_run
//! # use std::time::Duration;
//! # use unbroken_postgres::{Listen, PostgresOptions, Postgres};
//! # async fn run() -> Result<(), unbroken_postgres::PostgresOpenError> {
//! let options = PostgresOptions::default()
//!     .prepared(false)
//!     .listen(Listen::url("postgres://app@the-server-itself/app")?);
//! // Or, where the server can't be reached: .listen(Listen::poll(Duration::from_millis(100)))
//! let store = Postgres::open("postgres://app@the-pooler:6432/app", options).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The server is then not told of a [`statement_timeout`](field@PostgresOptions::statement_timeout), because
//! pgbouncer refuses it in a startup packet; set it for the role. The same goes for session mode,
//! unless it has `ignore_startup_parameters = options`.
//!
//! # Features
//!
//! * `tls`: rustls, with the system's root certificates, for URLs with `sslmode=require`. Without
//!   it, [`Postgres::open_with`] takes what other crates make.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answers;
mod chunk;
mod connect;
mod db;
mod durability;
mod error;
mod list;
mod listen;
mod migrate;
mod options;
mod postgres;
mod read;
mod row;
mod sql;
mod store;
mod time;
mod tls;
mod wait;
mod wake;
mod write;

pub use deadpool_postgres;
pub use tokio_postgres;

pub use self::{
    error::PostgresOpenError, listen::Listen, options::PostgresOptions, postgres::Postgres,
    tls::Tls,
};

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
