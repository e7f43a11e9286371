//! [`unbroken`] on PostgreSQL: a store that any number of servers share.
//!
//! ```no_run
//! use unbroken::session::Sessions;
//! use unbroken_postgres::{PostgresOptions, Postgres};
//!
//! # async fn run() -> Result<(), unbroken_postgres::PostgresOpenError> {
//! let store = Postgres::open("postgres://app@localhost/app", PostgresOptions::new()).await?;
//! let sessions = Sessions::builder(store).build();
//! # Ok(())
//! # }
//! ```
//!
//! Numbered migrations create the tables in a separate schema, by default `unbroken`, under an advisory
//! lock, so that servers may start at once. The store refuses a schema that is newer than the library:
//! upgrade all servers before one of them migrates. The settings of the server decide the durability of
//! acknowledged records; see [`Postgres`].
//!
//! # Writes
//!
//! Each write is one statement, which is a transaction of its own. It acts under the lock of the
//! session's row if its conditions hold; otherwise it does nothing, and the row shows the reason. An
//! append is one round trip; one of more than 512 KiB is three, since it tells the server its time. Each call runs on a task, which completes even if the caller drops the
//! future, and no statement is cancelled in the server. If the server refuses, nothing was applied. If a
//! connection breaks before the reply, or no reply comes within
//! [`statement_timeout`](field@PostgresOptions::statement_timeout) and 5 seconds, the write may have
//! been applied (`maybe_applied`), and its repetition succeeds either way. A call that moves more than 512 KiB has the
//! time that its bytes need, and runs in a transaction that sets the server's limit
//! ([`min_bytes_per_second`](field@PostgresOptions::min_bytes_per_second)).
//!
//! All times are those of the database server's wall clock. Setting that clock forward ends leases and
//! retentions early; so may a failover to a host whose clock is ahead. A lease that ends early costs a
//! claim, and never makes a second writer. The age of a session counts by that clock too.
//!
//! # Records
//!
//! An append is one row: the bytes of the records in one value and their lengths in another, with the
//! number of the session and the *last* LSN as its key. So the first row at or after any LSN is one step
//! in the index, and a page may begin and end in the middle of a row. `docs/postgres.md` of the
//! repository has measurements, also against a row for each record.
//!
//! A row of up to half a page stays in the table. A larger one goes to its TOAST table in pieces,
//! uncompressed. The row of a session changes with each append, but no index does, so nearly all of
//! these updates are heap-only. One append has at most
//! [`max_append_bytes`](field@PostgresOptions::max_append_bytes) bytes.
//!
//! # Lists and tombstones
//!
//! A list, and a look for the sessions of one chat of one owner, reads a range of one index for each status
//! that it selects: owner, chat, both or neither have an index each, in the order of the list. So each
//! reads at most one page for each status, however many sessions others have, and whatever the statistics of
//! the server say. Sessions that have expired and are not swept yet are passed over in at most eight
//! statements, after which a page may be short, or empty, and have a next one.
//!
//! A tombstone keeps the id, the owner, the digest and times; chat, service, request, abort reason, answers
//! and records go with the deletion or the expiry. Besides their own time, tombstones are limited in number:
//! a sweep removes the oldest beyond
//! [`max_tombstones`](field@PostgresOptions::max_tombstones). The id of a removed tombstone is free again.
//!
//! # Outbox
//!
//! The seal writes the entry of an ending into the row of its session, and keeps the request. A look for endings
//! reads a range of one index by service and time, and leases up to 64 in one statement, which skips the rows that
//! another server is taking. It takes as many as have 512 KiB with their requests, but at least one.
//!
//! A session whose ending waits is kept for as long. If it is deleted meanwhile, its row keeps the chat, the
//! service and the summary until the delivery, or until a sweep after the time of the ending. A sweep removes no such
//! tombstone before that, however many there are.
//!
//! # Waking
//!
//! A `NOTIFY` takes a lock of the whole database at commit, so none is part of a write. After its commit
//! a change wakes the waits of the same store at once. The connection that listens notifies other
//! servers: one statement at a time, at a distance of 2 ms, sends all changes since the one before. The
//! channels are `<schema>_0` to `<schema>_31`, and a server listens only to those that it has waited on.
//! A payload contains the id of the session, and any role that may connect to the database can listen
//! to it.
//!
//! A notification that is lost costs at most two seconds, as no wait is longer. When the connection that
//! listens breaks, all waits return at once. Until it is back (after 50 ms at first, at most 5 seconds,
//! each with jitter) waits poll every 250 ms.
//!
//! # Behind pgbouncer
//!
//! In transaction mode a connection serves other clients after each statement. It keeps no prepared
//! statements (before pgbouncer 1.21) and can't listen, which no error reports: waits would take two
//! seconds. Set these options:
//!
//! ```no_run
//! # use std::time::Duration;
//! # use unbroken_postgres::{Listen, PostgresOptions, Postgres};
//! # async fn run() -> Result<(), unbroken_postgres::PostgresOpenError> {
//! let options = PostgresOptions::new()
//!     .prepared(false)
//!     .listen(Listen::url("postgres://app@the-server-itself/app")?);
//! // Or, where the server can't be reached: .listen(Listen::poll(Duration::from_millis(100)))
//! let store = Postgres::open("postgres://app@the-pooler:6432/app", options).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The store then does not send a
//! [`statement_timeout`](field@PostgresOptions::statement_timeout), because pgbouncer refuses it in a
//! startup packet; set it for the role. The same applies to session mode, unless pgbouncer has
//! `ignore_startup_parameters = options`.
//!
//! # Features
//!
//! * `tls`: rustls, with the system's root certificates, for URLs with `sslmode=require`. Without
//!   it, [`Postgres::open_with`] takes the connectors of other crates.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answers;
mod chunk;
mod connect;
mod db;
mod durability;
mod error;
mod list;
mod list_statement;
mod listen;
mod migrate;
mod options;
mod outbox;
mod postgres;
mod read;
mod request;
mod row;
mod sql;
mod store;
mod sweep;
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
