//! The tool loop, as clients see it.

mod asking;
mod calls;
mod counted;
mod handoff;
mod interrupted;
mod reloads;
