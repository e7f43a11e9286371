//! The disk store keeps the contract, and what it acknowledged, whatever happens to its process and
//! its files.

#[path = "../../../../tests/support/mod.rs"]
mod support;

mod answers;
mod bed;
mod clock;
mod conformance;
mod crash;
mod crowd;
mod directory;
mod faults;
mod faulty_io;
mod harm;
mod open;
mod registry;
mod space;
