//! The tools that run after another server takes an answer over. The log is any part of the answer that
//! ends at or after its last barrier.

mod calls;
mod changed;
mod changed_halves;
mod fixture;
mod handoffs;
mod questions;
