//! Answers remain readable for the owner until the session ends, in whichever file they lie.

use unbroken::{
    log::SessionId,
    store::{AnswerOutcome, DeleteMode, Store, StoreError, StoreExt, StoredAnswer},
};
use unbroken_disk::Disk;

use crate::{
    directory::Directory,
    fixture::{HOUR, chunk, claim, create_session, open, push, seal},
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

fn pairs(answers: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |&(name, content): &(&str, &str)| (name.to_owned(), content.to_owned());
    answers.iter().map(own).collect()
}

/// Writes and deletes sessions until the first file is removed.
async fn replace_first_file(store: &Disk, directory: &Directory) {
    let first = directory.logs().remove(0);
    while first.exists() {
        let (id, epoch) = create_session(store).await;
        push(store, &id, 1, epoch, &[&"x".repeat(30_000)])
            .await
            .unwrap();
        store.delete(&id, DeleteMode::Now).await.unwrap();
    }
}

#[tokio::test]
async fn answers_survive_reopening_and_the_removal_of_their_file() {
    let directory = Directory::new();
    let store = open(&directory).await;
    let (id, epoch) = create_session(&store).await;
    answer(&store, &id, "a", "1").await;
    push(&store, &id, 1, epoch, &["one"]).await.unwrap();
    answer(&store, &id, "b", "2").await;
    store.close().await;

    let store = open(&directory).await;
    let all = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
    assert_eq!(answers(&store, &id).await, pairs(&all[..2]));
    assert_eq!(store.state(&id).await.unwrap().answers, 2);
    answer(&store, &id, "c", "3").await;
    replace_first_file(&store, &directory).await;
    answer(&store, &id, "d", "4").await;
    assert_eq!(answers(&store, &id).await, pairs(&all));
    store.close().await;

    let store = open(&directory).await;
    assert_eq!(answers(&store, &id).await, pairs(&all));
    replace_first_file(&store, &directory).await;
    replace_first_file(&store, &directory).await;
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
