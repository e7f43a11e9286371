//! Stores for logs: the [`Store`] trait, its contract, and a store in memory.
//!
//! A store keeps for each session its [`SessionMeta`], which never changes, its [`SessionState`] and
//! its records. Only the store decides which server may write: an append carries its
//! [`Epoch`](crate::log::Epoch), and the store compares it inside its own atomic write. The
//! [glossary](crate::log#glossary) explains the words.
//!
//! # Using a store
//!
//! An application opens a store and hands it to [`Sessions`](crate::session::Sessions), which makes
//! all calls:
//!
//! | store | crate | an acknowledged record survives |
//! |---|---|---|
//! | [`Memory`] | this one | nothing: it ends with the process |
//! | `Disk` | `unbroken-disk` | the end of the process, a power cut |
//! | `Redis` | `unbroken-redis` | as much as the server is configured for |
//! | `Postgres` | `unbroken-postgres` | as much as the server is configured for |
//!
//! Tools and tests call the methods of [`Store`] and [`StoreExt`] themselves:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), unbroken::store::StoreError> {
//! use std::{sync::Arc, time::Duration};
//!
//! use unbroken::{
//!     log::{ChunkBuilder, Digest, Lsn, Outcome, Position, ServiceName, SessionId},
//!     store::{AfterAppend, Created, Memory, NewSession, Seal, SessionMeta, Store, Token},
//! };
//!
//! let store = Memory::new();
//! let id = SessionId::random();
//! let new = NewSession {
//!     meta: Arc::new(SessionMeta {
//!         owner: None,
//!         chat: None,
//!         service: ServiceName::new("my-service"),
//!         digest: Digest([0; 32]),
//!         format: SessionMeta::LATEST_FORMAT,
//!         outbox: None,
//!     }),
//!     request: "the request".into(),
//!     token: Token::random(),
//!     lease: Duration::from_secs(15),
//!     tombstone: Duration::from_secs(24 * 60 * 60),
//! };
//! let Created::Created(epoch) = store.create(&id, new).await? else {
//!     panic!("the id is in use");
//! };
//!
//! let mut records = ChunkBuilder::new();
//! records.push(b"the only record");
//! let chunk = records.take(Lsn::new(1), epoch).expect("it is not empty");
//! let seal = Seal::new(Outcome::Complete, Duration::from_secs(60));
//! store.append(&id, chunk, AfterAppend::Seal(seal)).await?;
//!
//! let page = store.read(&id, Position::START, 64 << 10).await?;
//! assert_eq!(page.chunks[0].records().next().unwrap().bytes, b"the only record");
//! # Ok(())
//! # }
//! ```
//!
//! # Implementing a store
//!
//! A store implements the methods of [`Store`] by the contract below.
//!
//! * A store that keeps the state of each session in the process builds on [`machine`], which decides
//!   by the rules of the contract, and on [`table`], which finds sessions and wakes waiting tasks.
//! * A store over a [database](#a-store-over-a-database) keeps the fields of [`SessionState`] in its
//!   own form, and makes the checks in its transactions.
//! * The crate `unbroken-conformance` has the suite that states the contract case by case, for every
//!   store to run.
//! * A wrapper around another store should deny `clippy::missing_trait_methods`, so that no method
//!   bypasses it.
//!
//! The data types that cross the trait ([`NewSession`], [`SessionMeta`], [`SessionState`],
//! [`RecordPage`], [`Appended`], [`Claimed`], [`Created`], [`Seal`], [`AbortRequest`], [`AfterAppend`],
//! [`AnswerOutcome`], [`DeleteMode`], [`Filter`], [`Lease`], [`LeaseChange`], [`Listed`], [`Listing`], [`PendingEnding`], [`Seen`],
//! [`StoredAnswer`], [`Tombstone`]) are exhaustive on purpose: a store has to keep, fill in or
//! distinguish each field and variant. A new one is a breaking change, so that a store that would lose
//! it does not compile. These enums are `#[non_exhaustive]`: [`Status`], [`Outcome`] and [`ErrorCode`],
//! which stand in a state or a seal, [`StatusFilter`], [`Durability`] and [`StoreError`].
//!
//! A store chooses its own encoding of an [`Outcome`]. If it can't encode one, it returns
//! [`StoreError::Unavailable`].
//!
//! [`ErrorCode`]: crate::log::ErrorCode
//! [`Outcome`]: crate::log::Outcome
//! [`Status`]: crate::log::Status
//!
//! | store | encoding | in the repository |
//! |---|---|---|
//! | `Disk` | a number for each status and code | [`SessionMachine::encode`](machine::SessionMachine::encode) |
//! | `Redis` | the word, for example `complete` or `error:timeout` | `adapters/redis/src/codec/state.rs` |
//! | `Postgres` | a kind (0 complete, 1 aborted, 2 error), and a number for each code | `adapters/postgres/src/row.rs` |
//!
//! ## A store over a database
//!
//! Each write is one conditional statement. If it changes no row, the store reads the row and finds
//! the error in the order of the contract. `append`, where `Database` is the client of an engine:
//!
//! ```
//! # use unbroken::{
//! #     BoxFuture,
//! #     log::{Chunk, Epoch, Lsn, SessionId},
//! #     store::{AbortRequest, AfterAppend, Appended, StoreError},
//! # };
//! # #[derive(Debug)]
//! # struct Database;
//! # struct Row { epoch: Epoch, tail: Lsn, tail_epoch: Epoch, sealed: bool, abort: Option<AbortRequest> }
//! # impl Database {
//! #     async fn append(&self, _: &SessionId, _: &Chunk, _: AfterAppend) -> Result<Option<Row>, StoreError> { Ok(None) }
//! #     async fn find(&self, _: &SessionId) -> Result<Row, StoreError> { Err(StoreError::NotFound) }
//! #     async fn notify(&self, _: &SessionId) {}
//! # }
//! #[derive(Debug)]
//! struct MyStore {
//!     database: Database,
//! }
//!
//! # impl MyStore {
//! // In `impl Store for MyStore`:
//! fn append<'a>(
//!     &'a self,
//!     id: &'a SessionId,
//!     chunk: Chunk,
//!     after: AfterAppend,
//! ) -> BoxFuture<'a, Result<Appended, StoreError>> {
//!     Box::pin(async move {
//!         if let Some(row) = self.database.append(id, &chunk, after).await? {
//!             self.database.notify(id).await; // wakes `changed`, on every server
//!             return Ok(Appended { abort: row.abort, kept: None });
//!         }
//!         let row = self.database.find(id).await?; // or `Gone`, or `NotFound`
//!         let tail = row.tail;
//!         if tail == chunk.last() && row.tail_epoch == chunk.epoch() {
//!             return Ok(Appended { abort: row.abort, kept: None }); // a duplicate
//!         }
//!         Err(if row.epoch != chunk.epoch() {
//!             StoreError::Fenced
//!         } else if row.sealed {
//!             StoreError::Sealed
//!         } else if chunk.first() > tail.next() {
//!             StoreError::Rewound { tail }
//!         } else if chunk.first() < tail.next() {
//!             StoreError::Conflict { tail }
//!         } else {
//!             StoreError::unavailable(false, "the row has changed meanwhile")
//!         })
//!     })
//! }
//! # }
//! ```
//!
//! `Database::append` inserts the chunk in the transaction of this statement. The time is the
//! database's:
//!
//! ```text
//! UPDATE sessions
//! SET tail = :last, tail_epoch = :epoch, waiting = :waiting, lease_until = :now + lease
//! WHERE id = :id AND epoch = :epoch AND tail = :first - 1 AND outcome IS NULL AND deleted IS NULL
//! RETURNING abort
//! ```
//!
//! A store keeps more than a [`SessionState`] shows:
//!
//! * the request of [`NewSession`], until the seal, and until the ending is delivered;
//! * the entry of the [outbox](Store::endings): the summary, the time from which the ending may be taken, how
//!   often it was, and the time after which it is dropped;
//! * the [`Token`] of the call that made the present epoch;
//! * the time of the creation, for [`SessionState::age`] and the order of [`Store::list`];
//! * the length of the lease and its end; the length is 0 once it was given back, so that an append
//!   does not take it again;
//! * the epoch of each record, and that of the record at the tail, by which a duplicate is recognised;
//! * the time of the seal, for [`SessionState::ended`];
//! * the end of the retention, and each [`Holder`] with the end of its hold;
//! * the length of the tombstone, and the time of a deletion;
//! * the names and contents of the answers, until the seal.
//!
//! `adapters/postgres` in the repository is a complete store of this kind: `src/migrations` has the
//! tables, `src/row.rs` reads a row, `src/sql.rs` has the statements. `adapters/redis` does the same
//! in scripts, `src/scripts`.
//!
//! ## The contract
//!
//! * **Dropped futures.** A future that is dropped before it is done means "maybe applied", and so
//!   does [`StoreError::Unavailable`] with `maybe_applied`. Every write can be repeated: `create` and
//!   `claim` carry a [`Token`], an append is recognised by its epoch and LSN, and all other writes are
//!   idempotent. A repetition that changes nothing does not extend the lease either, so a caller counts
//!   its lease from before its first attempt.
//! * **Atomic and linearizable.** Each write happens wholly or not at all. All writes to one session
//!   have one order, and every later read agrees with it.
//! * **The store's clock.** Only durations cross the trait. Leases, retention and tombstones run by the
//!   store's own clock, so servers need not agree on the time.
//! * **Stable tails.** A read shows only records that are as stable as the store's [`Durability`].
//! * **Exact expiry.** A sealed session whose retention is over counts as deleted, even before
//!   [`Store::sweep`] removes it. An id whose tombstone is over gets [`StoreError::NotFound`].

mod answer;
mod append;
mod arc;
mod contract;
mod create;
mod ending;
mod error;
mod list;
pub mod machine;
mod memory;
mod state;
pub mod table;

pub use self::{
    answer::{AnswerOutcome, StoredAnswer},
    append::{AfterAppend, Appended, Seal},
    contract::{Store, StoreExt},
    create::{Claimed, Created, NewSession, Token},
    ending::PendingEnding,
    error::StoreError,
    list::{Filter, Listed, Listing, StatusFilter},
    memory::{Memory, MemorySnapshot},
    state::{
        AbortRequest, DeleteMode, Durability, Holder, Lease, LeaseChange, RecordPage, Seen,
        SessionMeta, SessionState, Tombstone, Version,
    },
};
