//! Counts the instructions of a part of a child process.

use std::{env, fs, hint::black_box, path::Path, process::Command};

use libtest_mimic::Failed;

/// Names the decoder that a child runs.
pub(crate) const CHILD: &str = "UNBROKEN_GROWTH";

/// Returns the reason if instructions can't be counted here.
pub(crate) fn missing() -> Option<&'static str> {
    let found = Command::new("valgrind").arg("--version").output();
    found.is_err().then_some("valgrind is missing")
}

/// Ends a part of the process: callgrind writes the count since the part before.
#[inline(never)]
pub(crate) fn growth_part_ends(part: usize) {
    black_box(part);
}

/// Runs this binary as a child that decodes with `decoder`. Returns the counts of its measured parts,
/// which are every second one.
pub(crate) fn count(decoder: &str) -> Result<Vec<u64>, Failed> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("out");
    let child = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg("--dump-after=*growth_part_ends*")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .env(CHILD, decoder)
        .output()?;
    if !child.status.success() {
        let said = String::from_utf8_lossy(&child.stderr).into_owned();
        return Err(Failed::from(said));
    }
    let parts = (1..).map(|part| out.with_extension(part.to_string()));
    let counts = parts.take_while(|it| it.exists()).map(|it| total(&it));
    let counts: Vec<_> = counts.collect::<Result<_, Failed>>()?;
    Ok(counts.into_iter().skip(1).step_by(2).collect())
}

fn total(file: &Path) -> Result<u64, Failed> {
    let text = fs::read_to_string(file)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.ok_or("no total")?;
    Ok(total.trim().parse()?)
}
