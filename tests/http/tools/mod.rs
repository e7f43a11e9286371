//! Tools in the loop, as clients see them.

mod asking;
mod bench;
mod calls;
mod handoff;
mod interrupted;
mod reloads;
