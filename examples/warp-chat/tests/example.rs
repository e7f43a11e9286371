//! The example, as somebody would run it.
#![cfg(unix)]

#[path = "../../shared/tests.rs"]
mod tests;

const BINARY: &str = env!("CARGO_BIN_EXE_warp-chat");
