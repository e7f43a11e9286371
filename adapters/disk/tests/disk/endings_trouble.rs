//! Endings where the disk is damaged or full.

use std::fs;

use unbroken::{log::ServiceName, store::Store};

use crate::{
    directory::Directory,
    endings::{REQUEST, ended, only, sealed_by, take},
    faulty_io::IoCall,
    fixture::{HOUR, SECOND, open},
    no_room::{ENOSPC, faulty},
};

#[tokio::test]
async fn an_ending_whose_request_can_not_be_read_stays_and_others_are_taken() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let damaged = ended(&store).await;
    let other = ended(&store).await;
    let log = directory.logs().remove(0);
    let mut bytes = fs::read(&log).unwrap();
    let at = bytes
        .windows(REQUEST.len())
        .position(|it| it == REQUEST.as_bytes());
    let at = at.unwrap();
    bytes[at] ^= 1;
    fs::write(&log, &bytes).unwrap();
    assert_eq!(only(&store, &other).await.request, REQUEST);
    store.delivered(&other, sealed_by(&other)).await.unwrap();
    store.clock().jump(60 * SECOND);
    assert!(take(&store, 9).await.is_empty());

    let mut bytes = fs::read(&log).unwrap();
    bytes[at] ^= 1;
    fs::write(&log, bytes).unwrap();
    store.clock().jump(60 * SECOND);
    assert_eq!(only(&store, &damaged).await.request, REQUEST);
}

#[tokio::test]
async fn a_delivery_that_can_not_be_written_does_not_begin() {
    let directory = Directory::new();
    let (store, faults) = faulty(&directory).await;
    let id = ended(&store).await;
    let service = ServiceName::new("a service");
    faults.fail(IoCall::Write, usize::MAX, ENOSPC);
    for _ in 0..3 {
        let failed = store.endings(&service, 9, HOUR).await;
        assert!(failed.is_err_and(|error| error.is_unavailable()));
    }
    let failed = store.delivered(&id, sealed_by(&id)).await;
    assert!(failed.is_err_and(|error| error.is_unavailable()));
    faults.heal();
    let ending = only(&store, &id).await;
    assert_eq!(ending.delivery, 1, "nobody had it");
    store.close().await;
    let store = open(&directory).await;
    assert_eq!(only(&store, &id).await.delivery, 2);
}
