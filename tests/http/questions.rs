//! The work that an answer to an unknown question makes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use serde_json::json;
use unbroken::{
    BoxFuture,
    chat::{InputId, InputRequest},
    log::{Position, SessionId},
    session::Sessions,
    store::{Memory, RecordPage, Store, StoreError},
};
use unbroken_conformance::delegate_store;

use crate::{
    client::{With, post, send},
    server::{Call, MOUNT, Server, ask, at, driven_with, id},
};

/// A memory store that counts the pages and the records that are read.
#[derive(Debug, Clone, Default)]
struct CountedReads {
    memory: Memory,
    pages: Arc<AtomicUsize>,
    records: Arc<AtomicUsize>,
}

impl Store for CountedReads {
    delegate_store!(
        memory: durability, create, claim, renew, append, changed, abort, answer, answers, hold,
        delete, of_chat, list, orphans, endings, postpone_ending, delivered, sweep
    );

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        Box::pin(async move {
            let page = self.memory.read(id, after, max_bytes).await?;
            let records: usize = page.chunks.iter().map(|it| it.records().count()).sum();
            self.pages.fetch_add(usize::from(records > 0), SeqCst);
            self.records.fetch_add(records, SeqCst);
            Ok(page)
        })
    }
}

const WORDS: usize = 2_000;

/// Starts a session with a long log.
async fn long_session(store: &CountedReads, name: &str) -> (Server, Call) {
    let sessions = Sessions::builder(store.clone()).build();
    let (server, calls) = driven_with(sessions, |layer| layer).await;
    let start = post(MOUNT, &ask("Hi")).with("x-session-id", id(name));
    let mut reader = send(server.addr, start).await;
    let call = calls.next().await;
    for word in 0..WORDS {
        call.say(&format!("word {word} "));
    }
    reader.until(&format!("word {} ", WORDS - 1)).await;
    (server, call)
}

async fn answer(server: &Server, name: &str, input: &str) -> u16 {
    let path = format!("{}/inputs/{input}", at(&id(name)));
    let given = post(&path, &json!({"action": "decline"}));
    send(server.addr, given).await.status()
}

#[tokio::test]
async fn an_unknown_question_reads_no_record_of_a_session_that_asks_nothing() {
    let store = CountedReads::default();
    let (server, _call) = long_session(&store, "talking").await;
    let before = store.records.load(SeqCst);
    for n in 0..20 {
        assert_eq!(answer(&server, "talking", &format!("x{n}")).await, 404);
    }
    assert_eq!(store.records.load(SeqCst) - before, 0);
}

#[tokio::test]
async fn however_many_unknown_questions_are_answered_a_record_is_read_once() {
    let store = CountedReads::default();
    let (server, call) = long_session(&store, "asking").await;
    let input: InputId = "q".parse().unwrap();
    call.event(InputRequest::question(input, "Why?").into());
    let waits = async || {
        let page = send(
            server.addr,
            crate::client::empty("HEAD", &at(&id("asking"))),
        )
        .await;
        page.header("x-session-status") == "waiting"
    };
    crate::server::until(waits).await;
    let read = || store.records.load(SeqCst);
    let before = read();
    assert_eq!(answer(&server, "asking", "x").await, 404);
    let once = read() - before;
    assert!((WORDS..WORDS + 10).contains(&once), "{once}");
    for n in 0..20 {
        assert_eq!(answer(&server, "asking", &format!("x{n}")).await, 404);
    }
    assert_eq!(read() - before, once);
    // An answer to the question reads its own record.
    let pages = store.pages.load(SeqCst);
    assert_eq!(answer(&server, "asking", "q").await, 202);
    assert_eq!(store.pages.load(SeqCst) - pages, 1);
    // The records that follow are read, and no other.
    call.say("more");
    let more = async || {
        let page = send(
            server.addr,
            crate::client::empty("HEAD", &at(&id("asking"))),
        )
        .await;
        page.header("x-session-tail") == (WORDS + 3).to_string()
    };
    crate::server::until(more).await;
    let before = read();
    assert_eq!(answer(&server, "asking", "y").await, 404);
    assert_eq!(read() - before, 1);
}
