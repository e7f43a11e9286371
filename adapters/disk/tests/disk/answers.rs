//! What was answered stays for the session's owner, wherever it lies, until the session ends.

use unbroken::{
    log::SessionId,
    store::{AnswerOutcome, DeleteMode, Store, StoreError, StoreExt, StoredAnswer},
};
use unbroken_disk::Disk;

use crate::{
    bed::{HOUR, chunk, claim, made, open, push, seal},
    directory::Directory,
};

async fn answer(store: &Disk, id: &SessionId, name: &str, content: &str) {
    let answered = store.answer(id, StoredAnswer::new(name, content.to_owned()));
    assert!(matches!(answered.await.unwrap(), AnswerOutcome::Stored(_)));
}

async fn answers(store: &Disk, id: &SessionId) -> Vec<(String, String)> {
    let answers = store.answers(id, 0).await.unwrap().into_iter();
    let text = |it: StoredAnswer| String::from_utf8(it.encoded().to_vec()).unwrap();
    answers.map(|it| (it.name.to_string(), text(it))).collect()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |&(name, content): &(&str, &str)| (name.to_owned(), content.to_owned());
    all.iter().map(own).collect()
}

/// Fills and empties files until the first one is gone.
async fn turn_over(store: &Disk, directory: &Directory) {
    let first = directory.logs().remove(0);
    while first.exists() {
        let (id, epoch) = made(store).await;
        push(store, &id, 1, epoch, &[&"x".repeat(30_000)])
            .await
            .unwrap();
        store.delete(&id, DeleteMode::Now).await.unwrap();
    }
}

#[tokio::test]
async fn answers_are_there_when_the_store_is_opened_again_and_when_their_file_is_gone() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, epoch) = made(&store).await;
    answer(&store, &id, "a", "1").await;
    push(&store, &id, 1, epoch, &["one"]).await.unwrap();
    answer(&store, &id, "b", "2").await;
    store.close().await;

    let store = open(&directory).await;
    let all = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
    assert_eq!(answers(&store, &id).await, pairs(&all[..2]));
    assert_eq!(store.state(&id).await.unwrap().answers, 2);
    answer(&store, &id, "c", "3").await;
    turn_over(&store, &directory).await;
    answer(&store, &id, "d", "4").await;
    assert_eq!(answers(&store, &id).await, pairs(&all));
    store.close().await;

    let store = open(&directory).await;
    assert_eq!(answers(&store, &id).await, pairs(&all));
    turn_over(&store, &directory).await;
    turn_over(&store, &directory).await;
    store.close().await;

    let store = open(&directory).await;
    assert_eq!(answers(&store, &id).await, pairs(&all));
    let other = store.answer(&id, StoredAnswer::new("a", "another")).await;
    assert!(matches!(other.unwrap(), AnswerOutcome::Taken));

    let epoch = claim(&store, &id).await;
    let last = chunk(2, epoch, &["two"]);
    store.append(&id, last, seal(HOUR)).await.unwrap();
    store.close().await;

    let store = open(&directory).await;
    assert_eq!(answers(&store, &id).await, pairs(&[]));
    let late = store.answer(&id, StoredAnswer::new("e", "5")).await;
    assert!(matches!(late, Err(StoreError::Sealed)));
}
