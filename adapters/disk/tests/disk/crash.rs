//! Processes that are killed while they append.

use std::collections::HashMap;

use unbroken::{
    log::{Epoch, SessionId},
    store::{AfterAppend, DeleteMode, Store, StoreError, StoreExt},
};
use unbroken_disk::Disk;

use crate::{
    directory::Directory,
    fixture::{HOUR, chunk, claim, create_session, open, seal, texts},
    killed_child::{self, child_store, report, rounds},
};

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
    let Some(store) = child_store().await else {
        return;
    };
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
            report("added", &id, lsn);
        }
        // Two of three sessions are deleted, so that files are rewritten and removed.
        if !id.as_str().as_bytes()[5].is_multiple_of(3) {
            report("deleting", &id, 0);
            store.delete(&id, DeleteMode::Now).await.unwrap();
            report("deleted", &id, 0);
        }
        (id, epoch) = create_session(&store).await;
    }
}

/// Kills a child after so many lines of output, and notes all that it reported.
fn crash(
    directory: &Directory,
    skips: bool,
    lines: usize,
    reported: &mut HashMap<SessionId, Reported>,
) {
    let test = "crash::child_that_appends";
    killed_child::crash(test, directory, skips, lines, |operation, id, number| {
        let session: &mut Reported = reported.entry(id).or_default();
        session.tail = session.tail.max(number);
        session.deleting |= operation == "deleting";
        session.deleted |= operation == "deleted";
    });
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
    let rounds = rounds(50);
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
