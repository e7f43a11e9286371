//! Tombstones keep the owner and the digest, and are bounded in number.

use libtest_mimic::{Failed, Trial};
use std::time::Duration;
use unbroken::{
    log::{Outcome, Owner, SessionId},
    store::{
        AfterAppend, Created, DeleteMode, NewSession, Seal, Store, StoreError, StoreExt, Tombstone,
    },
};

use crate::support::{
    self, fixture,
    scene::{self, Scene},
    server, trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let missing = missing.as_ref();
    vec![
        trial(
            "a_tombstone_is_the_owner_and_the_digest_and_nothing_else",
            missing,
            remains,
        ),
        trial(
            "the_oldest_tombstones_go_first_where_there_are_too_many",
            missing,
            bounded,
        ),
        trial("a_lower_bound_holds_after_the_next_sweep", missing, lowered),
        trial(
            "a_tombstone_that_is_too_many_does_not_touch_a_session_of_its_id",
            missing,
            reused,
        ),
        trial("a_session_is_deleted_where_memory_is_full", missing, full),
    ]
}

async fn remains() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let chat = "a chat ".repeat(18);
    let (deleted, _) = it.create(Some("the owner"), &chat, 1).await?.remove(0);
    it.store.delete(&deleted, DeleteMode::Now).await?;
    let seal = Seal::new(Outcome::Complete, Duration::ZERO);
    let seal = AfterAppend::Seal(seal);
    let expired = it
        .create_ended(Some("the owner"), &chat, 1, seal)
        .await?
        .remove(0);
    for id in [&deleted, &expired] {
        let left: Vec<u8> = it.key("GET", &format!("{{{id}}}:tombstone"), &[]).await;
        assert_eq!(left, [&[7; 32][..], b"+the owner"].concat());
        let tombstone = Tombstone {
            owner: Some(Owner::new("the owner")),
            digest: unbroken::log::Digest([7; 32]),
        };
        match it.store.state(id).await {
            Err(StoreError::Gone(gone)) => assert_eq!(gone, tombstone),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(it.store.sweep(10).await?, 1);
    // Neither the name of the chat nor anything that has its size is left.
    let mut expected = [&deleted, &expired]
        .map(|id| format!("{{{id}}}:tombstone"))
        .to_vec();
    expected.push("{all}:tombstones".to_owned());
    expected.sort();
    assert_eq!(it.keys().await, expected);
    let ids = it.members("{all}:tombstones").await;
    assert!(ids.contains(&deleted.to_string()) && ids.contains(&expired.to_string()));
    Ok(())
}

async fn is_gone(it: &Scene, id: &SessionId) -> bool {
    match it.store.state(id).await {
        Err(StoreError::Gone(_)) => true,
        Err(StoreError::NotFound) => false,
        other => panic!("{other:?}"),
    }
}

async fn bounded() -> Result<(), Failed> {
    let mut it = Scene::with(support::options().max_tombstones(3)).await;
    let mut deleted = Vec::new();
    for count in 1..=5_usize {
        let (id, _) = it.create(Some("me"), "c", 1).await?.remove(0);
        it.store.delete(&id, DeleteMode::Now).await?;
        deleted.push(id);
        assert_eq!(it.members("{all}:tombstones").await.len(), count.min(3));
    }
    for (at, id) in deleted.iter().enumerate() {
        assert_eq!(is_gone(&it, id).await, at >= 2, "number {at}");
    }
    // Expired sessions count from the sweep on.
    let seal = AfterAppend::Seal(Seal::new(Outcome::Complete, Duration::ZERO));
    let expired = it.create_ended(Some("me"), "c", 2, seal).await?;
    assert_eq!(it.store.sweep(10).await?, 2);
    for id in expired.iter().chain(&deleted[4..]) {
        assert!(is_gone(&it, id).await);
    }
    assert!(!is_gone(&it, &deleted[3]).await);
    assert_eq!(it.keys().await.len(), 4);
    Ok(())
}

async fn lowered() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let made = it.create(Some("me"), "c", 300).await?;
    for (id, _) in &made {
        it.store.delete(id, DeleteMode::Now).await?;
    }
    assert_eq!(it.members("{all}:tombstones").await.len(), 300);
    let prefix = it.prefix.clone();
    let options = support::options().prefix(prefix).max_tombstones(10);
    it.store = it.server.open(options).await;
    it.store.sweep(1).await?;
    let kept: Vec<_> = made[290..].iter().map(|(id, _)| id.to_string()).collect();
    assert_eq!(it.members("{all}:tombstones").await, kept);
    assert_eq!(it.keys().await.len(), 11);
    Ok(())
}

async fn reused() -> Result<(), Failed> {
    let mut it = Scene::with(support::options().max_tombstones(1)).await;
    let (id, _) = it.create(Some("me"), "c", 1).await?.remove(0);
    it.store.delete(&id, DeleteMode::Now).await?;
    // As if its tombstone were over, with an entry that isn't swept yet.
    let _: u64 = it.key("DEL", &format!("{{{id}}}:tombstone"), &[]).await;
    let Created::Created(epoch) = it.store.create(&id, scene::new(Some("me"), "c")).await? else {
        panic!("the id is free");
    };
    it.store
        .append(&id, fixture::chunk(1, epoch, &["z"]), fixture::sealed())
        .await?;
    let (other, _) = it.create(Some("me"), "c", 1).await?.remove(0);
    it.store.delete(&other, DeleteMode::Now).await?;
    assert_eq!(it.members("{all}:tombstones").await, [other.as_str()]);
    assert_eq!(fixture::texts(&it.store, &id).await, ["z"]);
    let left: u64 = it.key("EXISTS", &format!("{{{id}}}:tombstone"), &[]).await;
    assert_eq!(left, 1, "the tombstone of the session that has the id now");
    Ok(())
}

async fn full() -> Result<(), Failed> {
    let mut it = Scene::new().await;
    let large = NewSession {
        request: vec![b'x'; 1 << 20].into(),
        ..scene::new(Some("me"), "c")
    };
    let id = SessionId::random();
    it.store.create(&id, large).await?;
    let mut config = unbroken_redis::redis::cmd("CONFIG");
    let config = config.arg("SET").arg("maxmemory").arg("1mb");
    config.exec_async(&mut it.admin).await?;
    let refused = it
        .store
        .create(&SessionId::random(), scene::new(None, "c"))
        .await;
    assert!(fixture::is_unavailable(&refused.unwrap_err(), false));
    it.store.delete(&id, DeleteMode::Now).await?;
    assert!(is_gone(&it, &id).await);
    Ok(())
}
