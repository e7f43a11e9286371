//! A child process that reports each operation on a line, until it is killed.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use unbroken::log::SessionId;
use unbroken_disk::{Disk, DiskOptions};

use crate::{directory::Directory, faulty_io::FaultyIo};

/// The variable with the directory of the child's store.
const CHILD: &str = "UNBROKEN_TEST_CHILD";
/// The variable that says that the child's store skips its syncs.
const SKIPS: &str = "UNBROKEN_TEST_SKIPS";
/// The variable with the number of kills.
const ROUNDS: &str = "UNBROKEN_CRASHES";

/// Returns the number of kills: this many unless the environment says otherwise.
pub(crate) fn rounds(default: usize) -> usize {
    env::var(ROUNDS).map_or(default, |rounds| rounds.parse().unwrap())
}

/// Opens the store of this process; `None` if it isn't a child.
pub(crate) async fn child_store() -> Option<Disk> {
    let path = env::var_os(CHILD)?;
    let faults = FaultyIo::default();
    let options = DiskOptions::new()
        .segment_bytes(64 << 10)
        .io(faults.clone());
    let store = Disk::open(Path::new(&path), options).await.unwrap();
    faults.skip(env::var_os(SKIPS).is_some());
    Some(store)
}

/// Reports an operation on a session from a child.
pub(crate) fn report(operation: &str, id: &SessionId, number: u64) {
    // `println` may be captured by the test harness.
    let line = format!("{operation} {id} {number}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Runs this test in a child, kills it after so many reports, and hands all of them on.
pub(crate) fn crash(
    test: &str,
    directory: &Directory,
    skips: bool,
    lines: usize,
    mut reported: impl FnMut(&str, SessionId, u64),
) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command.env(CHILD, directory.path()).stdout(Stdio::piped());
    if skips {
        command.env(SKIPS, "yes");
    }
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut count = 0;
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        let words: Vec<_> = line.split_whitespace().collect();
        if let ([operation, id, number], true) = (&words[..], line.ends_with('\n'))
            && let (Ok(id), Ok(number)) = (id.parse(), number.parse())
        {
            reported(operation, id, number);
            count += 1;
        }
        line.clear();
        if count == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(count >= lines, "the child ended by itself");
}
