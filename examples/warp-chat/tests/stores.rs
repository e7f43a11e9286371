//! The example on each kind of store.

#[path = "../../shared/stores.rs"]
mod stores;

use std::process::ExitCode;

const BINARY: &str = env!("CARGO_BIN_EXE_warp-chat");
/// What its requests have beside what all have.
const HEADERS: &str = "";

fn main() -> ExitCode {
    stores::main()
}
