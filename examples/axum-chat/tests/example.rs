//! Tests of the example as a process.
#![cfg(unix)]

#[path = "../../shared/tests.rs"]
mod tests;

const BINARY: &str = env!("CARGO_BIN_EXE_axum-chat");
