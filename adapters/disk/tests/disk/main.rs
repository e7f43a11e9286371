//! The disk store keeps the contract, and all acknowledged records, through crashes of its process and
//! damage to its files.

#[path = "../../../../tests/support/mod.rs"]
mod support;

mod answers;
mod clock;
mod conformance;
mod corruption;
mod crash;
mod directory;
mod endings;
mod endings_crash;
mod endings_trouble;
mod faults;
mod faulty_io;
mod fixture;
mod killed_child;
mod layouts;
mod lock;
mod many_sessions;
mod no_room;
mod open;
mod registry;
mod restart_needed;
mod space;
mod tombstones;
mod withdrawals;
