//! Tests of the example with each kind of store.

#[path = "../../shared/stores.rs"]
mod stores;

use std::process::ExitCode;

const BINARY: &str = env!("CARGO_BIN_EXE_warp-chat");
/// Further headers of its requests.
const HEADERS: &str = "";

fn main() -> ExitCode {
    stores::main()
}
