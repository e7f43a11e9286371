//! Processes that are killed while they append.

use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use crate::faulty_io::FaultyIo;
use unbroken::{
    log::{Epoch, SessionId},
    store::{AfterAppend, DeleteMode, Store, StoreError, StoreExt},
};
use unbroken_disk::{Disk, DiskOptions};

use crate::{
    directory::Directory,
    fixture::{HOUR, chunk, claim, create_session, open, seal, texts},
};

const CHILD: &str = "UNBROKEN_TEST_APPENDS";
const SKIPS: &str = "UNBROKEN_TEST_SKIPS";
/// The variable with the number of kills.
const ROUNDS: &str = "UNBROKEN_CRASHES";

/// The operations on a session that children reported.
#[derive(Debug, Default)]
struct Reported {
    /// The last LSN that was acknowledged.
    tail: u64,
    deleting: bool,
    deleted: bool,
}

fn record(id: &SessionId, lsn: u64) -> String {
    let padding = usize::try_from(lsn * 37 % 200).unwrap();
    format!("{id} {lsn} {}", "x".repeat(padding))
}

#[tokio::test]
async fn child_that_appends() {
    let Some(path) = env::var_os(CHILD) else {
        return;
    };
    let faults = FaultyIo::default();
    let options = DiskOptions::new()
        .segment_bytes(64 << 10)
        .io(faults.clone());
    let store = Disk::open(Path::new(&path), options).await.unwrap();
    faults.skip(env::var_os(SKIPS).is_some());
    let orphans = store.orphans(1000).await.unwrap();
    let mut writers = Vec::new();
    for orphan in orphans {
        let epoch = claim(&store, &orphan.id).await;
        writers.push(tokio::spawn(write(store.clone(), orphan.id, epoch)));
    }
    for _ in writers.len()..6 {
        let (id, epoch) = create_session(&store).await;
        writers.push(tokio::spawn(write(store.clone(), id, epoch)));
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Appends to one session after the other until the process is killed.
async fn write(store: Disk, mut id: SessionId, mut epoch: Epoch) {
    loop {
        let tail = store.state(&id).await.unwrap().tail.get();
        for lsn in tail + 1..=40 {
            let after = if lsn == 40 {
                seal(HOUR)
            } else {
                AfterAppend::Streaming
            };
            let record = chunk(lsn, epoch, &[&record(&id, lsn)]);
            store.append(&id, record, after).await.unwrap();
            report(&format!("added {id} {lsn}"));
        }
        // Two of three sessions are deleted, so that files are rewritten and removed.
        if !id.as_str().as_bytes()[5].is_multiple_of(3) {
            report(&format!("deleting {id} 0"));
            store.delete(&id, DeleteMode::Now).await.unwrap();
            report(&format!("deleted {id} 0"));
        }
        (id, epoch) = create_session(&store).await;
    }
}

fn report(line: &str) {
    // `println` may be captured by the test harness.
    let line = format!("{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Starts a child, kills it after so many lines of output, and notes all that it reported.
fn crash(
    directory: &Directory,
    skips: bool,
    lines: usize,
    reported: &mut HashMap<SessionId, Reported>,
) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "crash::child_that_appends", "--nocapture"]);
    command.env(CHILD, directory.path()).stdout(Stdio::piped());
    if skips {
        command.env(SKIPS, "yes");
    }
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut count = 0;
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        let words: Vec<_> = line.split(' ').collect();
        if let ([word, id, lsn], true) = (&words[..], line.ends_with('\n'))
            && let Ok(id) = id.parse()
        {
            let session: &mut Reported = reported.entry(id).or_default();
            session.tail = session.tail.max(lsn.trim_end().parse().unwrap());
            session.deleting |= *word == "deleting";
            session.deleted |= *word == "deleted";
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

/// Checks that the store has all that was acknowledged.
async fn check(store: &Disk, reported: &HashMap<SessionId, Reported>) -> Result<(), String> {
    for (id, reported) in reported {
        match texts(store, id).await {
            Ok(_) if reported.deleted => return Err(format!("{id} was deleted")),
            Ok(texts) if (texts.len() as u64) < reported.tail => {
                return Err(format!("{id} ends at {} of {}", texts.len(), reported.tail));
            }
            Ok(texts) => {
                for (text, lsn) in texts.iter().zip(1..) {
                    if *text != record(id, lsn) {
                        return Err(format!("{id} has something else at {lsn}"));
                    }
                }
            }
            Err(StoreError::Gone(_)) if reported.deleting => {}
            Err(error) => return Err(format!("{id}: {error:?}")),
        }
    }
    Ok(())
}

#[tokio::test]
async fn acknowledged_records_survive_a_kill_at_any_moment() {
    let rounds = env::var(ROUNDS).map_or(50, |rounds| rounds.parse().unwrap());
    let directory = Directory::new();
    let mut reported = HashMap::new();
    let mut lines: usize = 1;
    for round in 0..rounds {
        lines = (lines * 173 + 41) % 397;
        crash(&directory, false, lines.max(1), &mut reported);
        let store = open(&directory).await;
        if let Err(lost) = check(&store, &reported).await {
            panic!("round {round}: {lost}");
        }
        store.close().await;
    }
    let records: u64 = reported.values().map(|reported| reported.tail).sum();
    let deleted = reported
        .values()
        .filter(|reported| reported.deleted)
        .count();
    println!(
        "{rounds} kills, {records} records acknowledged, {} sessions, {deleted} deleted, {} files",
        reported.len(),
        directory.logs().len()
    );
}

#[tokio::test]
async fn the_check_detects_a_disk_that_loses_writes() {
    let directory = Directory::new();
    let mut reported = HashMap::new();
    crash(&directory, false, 100, &mut reported);
    let store = open(&directory).await;
    check(&store, &reported).await.unwrap();
    store.close().await;
    crash(&directory, true, 100, &mut reported);
    let store = open(&directory).await;
    let lost = check(&store, &reported).await;
    assert!(lost.is_err(), "records that were never written are there");
}
