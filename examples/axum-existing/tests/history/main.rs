//! Tests of the conversations in a real database: the one at `POSTGRES_URL`, by default
//! `postgres://postgres@127.0.0.1:5432/test`. Without one they are reported as ignored, with the reason; on a CI
//! machine (`CI` is set) that is a failure.

mod database;
mod server;
mod table;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use database::Database;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let database = Database::new();
    let trials = [table::trials(&database), server::trials(&database)];
    let trials = trials.into_iter().flatten().collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    database.clean_up();
    conclusion.exit_code()
}
