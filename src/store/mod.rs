//! Where logs live: the [`Store`] trait and its contract.
//!
//! A store keeps, for each session, what it is ([`SessionMeta`]), where it stands ([`SessionState`]) and its
//! records. It is the only judge of who may write: an append carries its [`Epoch`], and the store
//! compares it inside its own atomic write.
//!
//! # The contract
//!
//! * **Dropped futures.** A future that is dropped before it is done means "maybe applied", and so
//!   does [`StoreError::Unavailable`] with `maybe_applied`. Every write can be repeated: `create`
//!   and `claim` carry a [`Token`], an append is known by its epoch and LSN, the rest is idempotent.
//!   A repetition that changes nothing doesn't extend the lease either: a caller counts its lease
//!   from before its first attempt.
//! * **Atomic, linearizable.** Each write happens wholly or not at all, and all writes to one
//!   session have one order that every later read agrees with.
//! * **The store's clock.** Only durations cross the trait. Leases, retention and tombstones run by
//!   the store's own clock, so servers need not agree on the time.
//! * **Stable tails.** What a read shows is as stable as the store's [`Durability`] says.
//! * **Expiry is exact.** A sealed session whose retention is over answers as deleted, whether or
//!   not [`Store::sweep`] has come by; a tombstone that ran out answers [`StoreError::NotFound`].
//!
//! The feature `testing` has the suite that states this contract case by case; other people's
//! stores can run it too.
//!
//! [`Epoch`]: crate::log::Epoch

mod answer;
mod append;
mod arc;
mod contract;
mod create;
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
    error::StoreError,
    list::{Filter, Listed, Listing, StatusFilter},
    memory::{Memory, MemorySnapshot},
    state::{
        AbortRequest, DeleteMode, Durability, Holder, Lease, LeaseChange, RecordPage, Seen,
        SessionMeta, SessionState, Tombstone, Version,
    },
    table::StoreClock,
};
#[doc(no_inline)]
pub use crate::BoxFuture;
