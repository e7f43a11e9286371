//! Many sessions at once.

use unbroken::{
    log::{Epoch, SessionId},
    store::Store,
};
use unbroken_disk::Disk;

use crate::{
    directory::Directory,
    fixture::{HOUR, chunk, create_session, open, push, seal, texts},
};

const APPENDS: u64 = 20;

fn text(id: &SessionId, lsn: u64) -> String {
    format!(
        "{id} {lsn} {}",
        "x".repeat(usize::try_from(lsn * 3).unwrap())
    )
}

async fn fill(store: Disk, id: SessionId, epoch: Epoch) {
    for lsn in 1..APPENDS {
        push(&store, &id, lsn, epoch, &[&text(&id, lsn)])
            .await
            .unwrap();
    }
    let last = text(&id, APPENDS);
    let last = chunk(APPENDS, epoch, &[&last]);
    store.append(&id, last, seal(HOUR)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_interleaved_sessions_keep_their_records() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let mut sessions = Vec::new();
    for _ in 0..1000 {
        sessions.push(create_session(&store).await);
    }
    let tasks: Vec<_> = sessions
        .iter()
        .map(|(id, epoch)| tokio::spawn(fill(store.clone(), id.clone(), *epoch)))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    check(&store, &sessions).await;
    store.close().await;
    check(&open(&directory).await, &sessions).await;
}

async fn check(store: &Disk, sessions: &[(SessionId, Epoch)]) {
    for (id, _) in sessions {
        let expected: Vec<_> = (1..=APPENDS).map(|lsn| text(id, lsn)).collect();
        assert_eq!(texts(store, id).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn compaction_of_a_long_session_changes_no_record() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, epoch) = create_session(&store).await;
    let mut expected = Vec::new();
    for lsn in 1..=2000 {
        expected.push(text(&id, lsn % 40));
        push(&store, &id, lsn, epoch, &[expected.last().unwrap()])
            .await
            .unwrap();
        if lsn % 333 == 0 {
            assert_eq!(texts(&store, &id).await.unwrap(), expected);
        }
    }
    store.close().await;
    let store = open(&directory).await;
    assert_eq!(texts(&store, &id).await.unwrap(), expected);
    store.close().await;
    let store = open(&directory).await;
    assert_eq!(texts(&store, &id).await.unwrap(), expected);
}
