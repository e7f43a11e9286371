//! Processes that are killed while they seal sessions and deliver their endings.

use std::collections::{HashMap, HashSet};

use unbroken::{
    log::{Outcome, ServiceName, SessionId},
    store::{AfterAppend, DeleteMode, PendingEnding, Seal, Store, StoreError, StoreExt},
};
use unbroken_disk::Disk;

use crate::{
    directory::Directory,
    fixture::{HOUR, chunk, create_as, new_session_with_outbox, open},
    killed_child::{self, child_store, report, rounds},
};

/// The operations on a session that children reported.
#[derive(Debug, Default)]
struct ReportedEnding {
    words: HashSet<String>,
    /// The last number of a delivery.
    taken: u32,
}

impl ReportedEnding {
    fn has(&self, word: &str) -> bool {
        self.words.contains(word)
    }
}

#[tokio::test]
async fn child_that_ends_sessions() {
    let Some(store) = child_store().await else {
        return;
    };
    let mut tasks = Vec::new();
    for _ in 0..4 {
        tasks.push(tokio::spawn(end_sessions(store.clone())));
        tasks.push(tokio::spawn(deliver(store.clone())));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

/// Creates and seals one session after the other, and deletes some of them, until the process is killed.
async fn end_sessions(store: Disk) {
    for count in 0_u32.. {
        let id = SessionId::random();
        let epoch = create_as(&store, &id, new_session_with_outbox()).await;
        let last = chunk(1, epoch.unwrap(), &[&"x".repeat(500)]);
        let seal = Seal::new(Outcome::Complete, HOUR).summary(summary(&id).into());
        let sealed = store.append(&id, last, AfterAppend::Seal(seal)).await;
        sealed.unwrap();
        report("sealed", &id, 0);
        if count.is_multiple_of(2) {
            report("deleting", &id, 0);
            store.delete(&id, DeleteMode::Now).await.unwrap();
            report("deleted", &id, 0);
        }
    }
}

/// Takes endings, and delivers two of three, until the process is killed.
async fn deliver(store: Disk) {
    loop {
        for ending in take(&store, 4).await {
            let id = &ending.id;
            report("taken", id, u64::from(ending.delivery));
            if !id.as_str().as_bytes()[5].is_multiple_of(3) {
                report("delivering", id, 0);
                store.delivered(id, ending.state.epoch).await.unwrap();
                report("delivered", id, 0);
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn take(store: &Disk, limit: usize) -> Vec<PendingEnding> {
    let service = ServiceName::new("a service");
    store.endings(&service, limit, HOUR).await.unwrap()
}

fn summary(id: &SessionId) -> String {
    format!("the summary of {id}")
}

/// Kills a child after so many lines of output, and notes all that it reported.
fn crash(
    directory: &Directory,
    skips: bool,
    lines: usize,
    reported: &mut HashMap<SessionId, ReportedEnding>,
) {
    let test = "endings_crash::child_that_ends_sessions";
    killed_child::crash(test, directory, skips, lines, |operation, id, number| {
        let session: &mut ReportedEnding = reported.entry(id).or_default();
        session.taken = session.taken.max(u32::try_from(number).unwrap());
        session.words.insert(operation.to_owned());
    });
}

/// Takes all endings, and checks that the store has those that were acknowledged and none that was delivered.
async fn check(
    store: &Disk,
    reported: &mut HashMap<SessionId, ReportedEnding>,
) -> Result<(), String> {
    let taken = take(store, usize::MAX).await.into_iter();
    let taken: HashMap<_, _> = taken.map(|ending| (ending.id.clone(), ending)).collect();
    for (id, reported) in reported {
        let present = match store.state(id).await {
            Ok(_) => true,
            Err(StoreError::Gone(_)) if reported.has("deleting") => false,
            Err(error) => return Err(format!("{id}: {error:?}")),
        };
        if present && reported.has("deleted") {
            return Err(format!("{id} was deleted"));
        }
        let Some(ending) = taken.get(id) else {
            if reported.has("sealed") && !reported.has("delivering") {
                return Err(format!("the ending of {id} is lost"));
            }
            continue;
        };
        if reported.has("delivered") {
            return Err(format!("the ending of {id} was delivered"));
        }
        if ending.delivery <= reported.taken {
            let (again, before) = (ending.delivery, reported.taken);
            return Err(format!("delivery {again} of {id} after {before}"));
        }
        reported.taken = ending.delivery;
        let request = if present { "a request" } else { "" };
        let is_whole = ending.request == request && ending.summary == summary(id).as_bytes();
        if !is_whole || ending.deleted == present {
            return Err(format!("{id} has something else: {ending:?}"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn acknowledged_endings_survive_a_kill_at_any_moment_and_delivered_ones_do_not_return() {
    let rounds = rounds(20);
    let directory = Directory::new();
    let mut reported = HashMap::new();
    let mut lines: usize = 1;
    for round in 0..rounds {
        lines = (lines * 173 + 41) % 397;
        crash(&directory, false, lines.max(1), &mut reported);
        let store = open(&directory).await;
        if let Err(lost) = check(&store, &mut reported).await {
            panic!("round {round}: {lost}");
        }
        store.close().await;
    }
    let count = |word| reported.values().filter(|it| it.has(word)).count();
    println!(
        "{rounds} kills, {} endings acknowledged, {} delivered, {} sessions deleted, {} files",
        count("sealed"),
        count("delivered"),
        count("deleted"),
        directory.logs().len()
    );
}

#[tokio::test]
async fn the_check_detects_a_disk_that_loses_endings() {
    let directory = Directory::new();
    let mut reported = HashMap::new();
    crash(&directory, false, 100, &mut reported);
    let store = open(&directory).await;
    check(&store, &mut reported).await.unwrap();
    store.close().await;
    crash(&directory, true, 100, &mut reported);
    let store = open(&directory).await;
    let lost = check(&store, &mut reported).await;
    assert!(lost.is_err(), "endings that were never written are there");
}
