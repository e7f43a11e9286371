//! Closing, opening again, and opening twice.

use std::{fs, process::Command};

use unbroken::{
    log::{ErrorCode, Lsn, Outcome, Status},
    store::{
        AbortRequest, AfterAppend, Created, DeleteMode, Holder, Lease, LeaseChange, Seal, Store,
        StoreError, StoreExt, Token,
    },
};
use unbroken_disk::{Disk, DiskOpenError, DiskOptions};

use crate::{
    directory::Directory,
    fixture::{
        HOUR, SECOND, chunk, claim, create, create_session, new_session, open, push, seal, texts,
    },
};

#[tokio::test]
async fn a_reopened_store_has_everything_that_was_stored() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (running, epoch) = create_session(&store).await;
    push(&store, &running, 1, epoch, &["a", "", "c"])
        .await
        .unwrap();
    let second = {
        store
            .renew(&[(running.clone(), epoch)], LeaseChange::GiveBack)
            .await;
        claim(&store, &running).await
    };
    let waiting = chunk(4, second, &["d"]);
    store
        .append(&running, waiting, AfterAppend::Waiting)
        .await
        .unwrap();
    let reason = Some("enough".into());
    let abort = AbortRequest { reason };
    store.abort(&running, abort.clone()).await.unwrap();

    let (sealed, epoch) = create_session(&store).await;
    let outcome = Outcome::Error(ErrorCode::Limit);
    let after = AfterAppend::Seal(Seal::new(outcome, HOUR));
    store
        .append(&sealed, chunk(1, epoch, &["z"]), after)
        .await
        .unwrap();
    store.hold(&sealed, Holder(1), 3 * HOUR).await.unwrap();

    let (deleted, _) = create_session(&store).await;
    store.delete(&deleted, DeleteMode::Now).await.unwrap();
    store.close().await;

    let store = open(&directory).await;
    assert_eq!(texts(&store, &running).await.unwrap(), ["a", "", "c", "d"]);
    let state = store.state(&running).await.unwrap();
    assert_eq!((state.epoch, state.attempts), (second, 0));
    assert_eq!(state.status, Status::Waiting);
    assert_eq!(state.abort, Some(abort));
    assert_eq!(state.meta, new_session().meta);
    assert_eq!(texts(&store, &sealed).await.unwrap(), ["z"]);
    let state = store.state(&sealed).await.unwrap();
    assert_eq!(state.status, Status::Ended(outcome));
    let gone = store.state(&deleted).await;
    assert!(matches!(gone, Err(StoreError::Gone(_))), "{gone:?}");
    store.clock().jump(2 * HOUR);
    assert!(store.state(&sealed).await.is_ok(), "it is held");
    store.clock().jump(2 * HOUR);
    assert!(store.state(&sealed).await.is_err());
}

#[tokio::test]
async fn every_lease_of_a_former_process_is_free_at_once() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, epoch) = create_session(&store).await;
    push(&store, &id, 1, epoch, &["a"]).await.unwrap();
    assert!(matches!(
        store.state(&id).await.unwrap().lease,
        Lease::Held(_)
    ));
    store.close().await;

    let store = open(&directory).await;
    assert_eq!(store.state(&id).await.unwrap().lease, Lease::Free);
    assert_eq!(store.orphans(9).await.unwrap().len(), 1);
    let claimed = claim(&store, &id).await;
    let late = push(&store, &id, 2, epoch, &["late"]).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    push(&store, &id, 2, claimed, &["b"]).await.unwrap();
    assert_eq!(texts(&store, &id).await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn the_end_of_a_process_costs_an_attempt_unless_it_appended_or_gave_the_lease_back() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, epoch) = create_session(&store).await;
    push(&store, &id, 1, epoch, &["a"]).await.unwrap();
    store.close().await;
    let mut lsn = 1;
    for (step, attempts) in [
        ("dies", 0),
        ("dies", 1),
        ("gives back", 2),
        ("gives back", 2),
        ("appends", 2),
        ("dies", 2),
        ("dies", 3),
    ] {
        let store = open(&directory).await;
        let epoch = claim(&store, &id).await;
        let state = store.state(&id).await.unwrap();
        assert_eq!(state.attempts, attempts, "before one that {step}");
        match step {
            "gives back" => {
                let owned = [(id.clone(), epoch)];
                store.renew(&owned, LeaseChange::GiveBack).await;
            }
            "appends" => {
                lsn += 1;
                push(&store, &id, lsn, epoch, &["b"]).await.unwrap();
            }
            _ => {}
        }
        store.close().await;
    }
}

#[tokio::test]
async fn repetitions_are_recognised_after_reopening() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, new) = (unbroken::log::SessionId::random(), new_session());
    let Created::Created(epoch) = store.create(&id, new.clone()).await.unwrap() else {
        panic!("the id is taken");
    };
    push(&store, &id, 1, epoch, &["a"]).await.unwrap();
    store.close().await;

    let store = open(&directory).await;
    let again = store.create(&id, new).await.unwrap();
    assert!(matches!(again, Created::Created(it) if it == epoch));
    push(&store, &id, 1, epoch, &["a"]).await.unwrap();
    let token = Token::random();
    let claimed = store.claim(&id, epoch, token, SECOND).await.unwrap().epoch;
    store.close().await;

    let store = open(&directory).await;
    let again = store.claim(&id, epoch, token, SECOND).await.unwrap().epoch;
    assert_eq!(again, claimed);
    assert_eq!(store.state(&id).await.unwrap().tail, Lsn::new(1));
}

#[tokio::test]
async fn an_id_whose_tombstone_ran_out_can_be_used_again() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, epoch) = create_session(&store).await;
    store
        .append(&id, chunk(1, epoch, &["old"]), seal(SECOND))
        .await
        .unwrap();
    store.clock().jump(2 * HOUR);
    let epoch = create(&store, &id).await.unwrap();
    push(&store, &id, 1, epoch, &["new"]).await.unwrap();
    assert_eq!(texts(&store, &id).await.unwrap(), ["new"]);
    store.close().await;
    let store = open(&directory).await;
    assert_eq!(texts(&store, &id).await.unwrap(), ["new"]);
}

#[tokio::test]
async fn a_store_is_opened_only_once_and_the_error_has_its_path() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let second = Disk::open(directory.path(), DiskOptions::new()).await;
    let error = second.unwrap_err();
    assert!(matches!(&error, DiskOpenError::Locked { path } if path == directory.path()));
    let name = directory.path().to_str().unwrap();
    assert!(error.to_string().contains(name), "{error}");
    let other = store.clone();
    store.close().await;
    open(&directory).await;
    let late = other.sweep(1).await;
    let unavailable = StoreError::is_unavailable;
    assert!(late.is_err_and(|error| unavailable(&error)));
}

#[tokio::test]
async fn a_store_that_is_dropped_closes_by_itself() {
    let directory = Directory::new();
    for count in 0..20 {
        // The store before closes in the background.
        let store = loop {
            match Disk::open(directory.path(), DiskOptions::new()).await {
                Ok(store) => break store,
                Err(DiskOpenError::Locked { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(store.orphans(99).await.unwrap().len(), count);
        create_session(&store).await;
    }
}

#[tokio::test]
async fn another_process_can_not_open_an_open_store() {
    let directory = Directory::new();
    let _store = open(&directory).await;
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "open::child_that_opens"])
        .env(CHILD, directory.path())
        .status();
    assert!(child.unwrap().success(), "the child could open the store");
}

const CHILD: &str = "UNBROKEN_TEST_OPENS";

#[tokio::test]
async fn child_that_opens() {
    if let Some(path) = std::env::var_os(CHILD) {
        let opened = Disk::open(&path, DiskOptions::new()).await;
        assert!(matches!(opened, Err(DiskOpenError::Locked { .. })));
    }
}

#[tokio::test]
async fn logs_without_the_file_layout_are_refused() {
    let directory = Directory::new();
    open(&directory).await.close().await;
    fs::remove_file(directory.path().join("layout")).unwrap();
    let opened = Disk::open(directory.path(), DiskOptions::new()).await;
    assert!(
        matches!(opened, Err(DiskOpenError::Io { .. })),
        "{opened:?}"
    );
}
