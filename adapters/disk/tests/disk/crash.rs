//! A process that is killed while it appends.

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
    bed::{HOUR, chunk, claim, made, open, seal, texts},
    directory::Directory,
};

const CHILD: &str = "UNBROKEN_TEST_APPENDS";
const LIES: &str = "UNBROKEN_TEST_LIES";
/// How many times a child is killed.
const ROUNDS: &str = "UNBROKEN_CRASHES";

/// What the child was heard to say of a session.
#[derive(Debug, Default)]
struct Heard {
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
    let options = DiskOptions::default()
        .segment_bytes(64 << 10)
        .io(faults.clone());
    let store = Disk::open(Path::new(&path), options).await.unwrap();
    faults.lie(env::var_os(LIES).is_some());
    let orphans = store.orphans(1000).await.unwrap();
    let mut writers = Vec::new();
    for orphan in orphans {
        let epoch = claim(&store, &orphan.id).await;
        writers.push(tokio::spawn(write(store.clone(), orphan.id, epoch)));
    }
    for _ in writers.len()..6 {
        let (id, epoch) = made(&store).await;
        writers.push(tokio::spawn(write(store.clone(), id, epoch)));
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Appends to one session after the other, until the end.
async fn write(store: Disk, mut id: SessionId, mut epoch: Epoch) {
    loop {
        let tail = store.state(&id).await.unwrap().tail.get();
        for lsn in tail + 1..=40 {
            let then = if lsn == 40 {
                seal(HOUR)
            } else {
                AfterAppend::Streaming
            };
            let record = chunk(lsn, epoch, &[&record(&id, lsn)]);
            store.append(&id, record, then).await.unwrap();
            say(&format!("added {id} {lsn}"));
        }
        // Two of three go, so that files are emptied and removed.
        if !id.as_str().as_bytes()[5].is_multiple_of(3) {
            say(&format!("deleting {id} 0"));
            store.delete(&id, DeleteMode::Now).await.unwrap();
            say(&format!("deleted {id} 0"));
        }
        (id, epoch) = made(&store).await;
    }
}

fn say(line: &str) {
    // Not by `println`, which the test harness may keep.
    let line = format!("{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Starts a child, kills it once it was heard to say so many lines, and notes all that it said.
fn crash(directory: &Directory, lies: bool, after: usize, heard: &mut HashMap<SessionId, Heard>) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "crash::child_that_appends", "--nocapture"]);
    command.env(CHILD, directory.path()).stdout(Stdio::piped());
    if lies {
        command.env(LIES, "yes");
    }
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut count = 0;
    let mut line = String::new();
    while said.read_line(&mut line).unwrap() > 0 {
        let words: Vec<_> = line.split(' ').collect();
        if let ([word, id, lsn], true) = (&words[..], line.ends_with('\n'))
            && let Ok(id) = id.parse()
        {
            let it: &mut Heard = heard.entry(id).or_default();
            it.tail = it.tail.max(lsn.trim_end().parse().unwrap());
            it.deleting |= *word == "deleting";
            it.deleted |= *word == "deleted";
            count += 1;
        }
        line.clear();
        if count == after {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(count >= after, "the child ended by itself");
}

/// Whether all is there that the child was told is there.
async fn check(store: &Disk, heard: &HashMap<SessionId, Heard>) -> Result<(), String> {
    for (id, heard) in heard {
        match texts(store, id).await {
            Ok(_) if heard.deleted => return Err(format!("{id} was deleted")),
            Ok(texts) if (texts.len() as u64) < heard.tail => {
                return Err(format!("{id} ends at {} of {}", texts.len(), heard.tail));
            }
            Ok(texts) => {
                for (text, lsn) in texts.iter().zip(1..) {
                    if *text != record(id, lsn) {
                        return Err(format!("{id} has something else at {lsn}"));
                    }
                }
            }
            Err(StoreError::Gone(_)) if heard.deleting => {}
            Err(error) => return Err(format!("{id}: {error:?}")),
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let rounds = env::var(ROUNDS).map_or(50, |rounds| rounds.parse().unwrap());
    let directory = Directory::new();
    let mut heard = HashMap::new();
    let mut lines: usize = 1;
    for round in 0..rounds {
        lines = (lines * 173 + 41) % 397;
        crash(&directory, false, lines.max(1), &mut heard);
        let store = open(&directory).await;
        if let Err(lost) = check(&store, &heard).await {
            panic!("round {round}: {lost}");
        }
        store.close().await;
    }
    let records: u64 = heard.values().map(|heard| heard.tail).sum();
    let deleted = heard.values().filter(|heard| heard.deleted).count();
    println!(
        "{rounds} kills, {records} records acknowledged, {} sessions, {deleted} deleted, {} files",
        heard.len(),
        directory.logs().len()
    );
}

#[tokio::test]
async fn the_check_notices_a_disk_that_lies() {
    let directory = Directory::new();
    let mut heard = HashMap::new();
    crash(&directory, false, 100, &mut heard);
    let store = open(&directory).await;
    check(&store, &heard).await.unwrap();
    store.close().await;
    crash(&directory, true, 100, &mut heard);
    let store = open(&directory).await;
    let lost = check(&store, &heard).await;
    assert!(lost.is_err(), "records that never were written are there");
}
