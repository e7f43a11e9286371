//! Sessions that were withdrawn, which nothing brings back.

use unbroken::store::{AfterAppend, DeleteMode, Filter, Store, StoreError, StoreExt};

use crate::{
    directory::Directory,
    fixture::{HOUR, chunk, compact, create, create_session, open, push, seal, texts},
};

#[tokio::test]
async fn a_withdrawn_session_does_not_come_back_when_the_store_is_opened_again() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (withdrawn, epoch) = create_session(&store).await;
    let (other, other_epoch) = create_session(&store).await;
    push(&store, &withdrawn, 1, epoch, &["the-record-of-it"])
        .await
        .unwrap();
    push(&store, &other, 1, other_epoch, &["kept"])
        .await
        .unwrap();
    let how = DeleteMode::Withdrawn(epoch);
    store.delete(&withdrawn, how).await.unwrap();
    for _ in 0..2 {
        store.close().await;
        let store = open(&directory).await;
        let state = store.state(&withdrawn).await;
        assert!(matches!(state, Err(StoreError::NotFound)), "{state:?}");
        let again = store.delete(&withdrawn, how).await;
        assert!(matches!(again, Err(StoreError::NotFound)), "{again:?}");
        let orphans = store.orphans(9).await.unwrap();
        let orphans: Vec<_> = orphans.into_iter().map(|it| it.id).collect();
        assert_eq!(orphans, std::slice::from_ref(&other));
        let listed = store.list(&Filter::default()).await.unwrap();
        assert_eq!(listed.sessions.len(), 1);
        store.close().await;
    }
    let store = open(&directory).await;
    compact(&store).await;
    assert!(
        !directory.holds("the-record-of-it"),
        "its space is given back"
    );
    assert_eq!(texts(&store, &other).await.unwrap(), ["kept"]);
}

#[tokio::test]
async fn a_new_session_under_the_id_is_the_one_that_is_there_after_a_restart() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, first) = create_session(&store).await;
    push(&store, &id, 1, first, &["old", "older"])
        .await
        .unwrap();
    // In one batch, as far as the writer takes them together.
    let (withdrawn, created) = tokio::join!(
        store.delete(&id, DeleteMode::Withdrawn(first)),
        create(&store, &id)
    );
    withdrawn.unwrap();
    let second = created.unwrap();
    assert_ne!(second, first);
    let again = store.delete(&id, DeleteMode::Withdrawn(first)).await;
    assert!(matches!(again, Err(StoreError::Fenced)), "{again:?}");
    push(&store, &id, 1, second, &["new"]).await.unwrap();
    store.close().await;
    let store = open(&directory).await;
    assert_eq!(texts(&store, &id).await.unwrap(), ["new"]);
    compact(&store).await;
    store.close().await;
    let store = open(&directory).await;
    assert_eq!(texts(&store, &id).await.unwrap(), ["new"]);
}

#[tokio::test]
async fn an_append_of_the_same_batch_does_not_keep_a_withdrawn_session() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, epoch) = create_session(&store).await;
    let (_, appended, withdrawn, late) = tokio::join!(
        create_session(&store),
        store.append(&id, chunk(1, epoch, &["a"]), AfterAppend::Streaming),
        store.delete(&id, DeleteMode::Withdrawn(epoch)),
        store.append(&id, chunk(2, epoch, &["b"]), seal(HOUR)),
    );
    appended.unwrap();
    withdrawn.unwrap();
    assert!(matches!(late, Err(StoreError::NotFound)), "{late:?}");
    store.close().await;
    let state = open(&directory).await.state(&id).await;
    assert!(matches!(state, Err(StoreError::NotFound)), "{state:?}");
}
