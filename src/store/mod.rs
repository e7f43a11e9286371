//! Where logs live: the [`Store`] trait and its contract.
//!
//! A store keeps, for each session, what it is ([`Info`]), where it stands ([`State`]) and its
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
//! [`Epoch`]: crate::session::Epoch

mod answer;
mod append;
mod arc;
mod contract;
#[cfg(feature = "disk")]
mod disk;
mod error;
mod list;
mod memory;
mod new;
mod shelf;
mod state;

#[cfg(all(feature = "disk", feature = "testing"))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "disk", feature = "testing"))))]
pub use self::disk::DiskFaults;
#[cfg(feature = "disk")]
#[cfg_attr(docsrs, doc(cfg(feature = "disk")))]
pub use self::disk::{Disk, DiskOptions, OpenError};
pub use self::{
    answer::{Answer, Answered},
    append::{Appended, Seal, Then},
    contract::{Store, StoreExt},
    error::StoreError,
    list::{Filter, Listed, Listing, StatusFilter},
    memory::Memory,
    new::{Claimed, Created, New, Token},
    state::{Abort, Delete, Durability, Holder, Info, Lease, Page, State, Tombstone, Version},
};
#[doc(no_inline)]
pub use crate::BoxFuture;

#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub use self::{memory::Snapshot, shelf::Clock};
