//! What the stores that keep the state of their sessions in the process have in common: finding
//! sessions, listing them, waiting for their changes, and a clock.
//!
//! Each session has a lock of its own, and the index of sessions is locked only to look one up.

#[cfg_attr(
    not(feature = "testing"),
    expect(unreachable_pub, reason = "public with the feature")
)]
mod clock;
mod index;
mod keep;
mod slot;
mod survey;
mod wait;

#[cfg(feature = "testing")]
pub use self::clock::Clock;
#[cfg(not(feature = "testing"))]
pub(super) use self::clock::Clock;
#[cfg(any(feature = "testing", feature = "disk"))]
pub(super) use self::slot::Slot;
pub(super) use self::{keep::Shelf, slot::Lives};
