//! The example on each kind of store.

#[path = "../../shared/stores.rs"]
mod stores;

use std::process::ExitCode;

const BINARY: &str = env!("CARGO_BIN_EXE_axum-existing");
/// What its requests have beside what all have.
const HEADERS: &str = "authorization: Bearer ann-token\r\n";

fn main() -> ExitCode {
    stores::main()
}
