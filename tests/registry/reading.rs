//! Readers of one server.

use std::time::Duration;

use crate::support::{TextFormat, channel_source, id, log, lsn, read, read_all};
use unbroken::{
    log::{ChunkBuilder, Epoch, Position, SessionId, Status},
    session::{ReadError, SessionsBuilder},
    store::{AfterAppend, Memory, Store, StoreError, Token},
};
use unbroken_conformance::{ClockJump, Fault, FaultStore, Op};

use crate::{
    begin, builder, is_gone, settle,
    take_over::{LEASE, orphan},
};

#[tokio::test(start_paused = true)]
async fn a_reconnect_reads_on_from_the_last_lsn() {
    let (sessions, id) = (builder().build(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    handle.send("a");
    let mut reader = session.reader(Position::START).await.unwrap();
    let before = read(&mut reader, 2).await;
    let position = reader.position();
    drop((reader, session));
    handle.send("b");
    settle().await;
    let session = sessions.attach(&id).await.unwrap();
    let mut reader = session.reader(position).await.unwrap();
    handle.send("c");
    drop(handle);
    let after = read_all(&mut reader).await;
    assert_eq!(
        [before, after].concat(),
        log(&["info", "a", "b", "c", "complete"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_delete_gives_readers_their_ending_then_forgets() {
    let (sessions, id) = (builder().build(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    sessions.delete(&id).await.unwrap();
    assert_eq!(read_all(&mut reader).await, log(&["info", "aborted"]));
    assert!(handle.is_dropped());
    assert!(is_gone(&sessions, &id).await);
    sessions.delete(&id).await.unwrap();
    let nothing = sessions.delete(&crate::support::id("nothing")).await;
    assert!(matches!(nothing, Err(StoreError::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_session_is_gone_although_its_writer_has_not_seen_the_seal() {
    let store = FaultStore::new(Memory::new());
    let faults = store.faults().clone();
    let (sessions, id) = (SessionsBuilder::new(store, TextFormat).build(), id("one"));
    let (_teller, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::START).await.unwrap();
    settle().await;
    faults.next(Op::Append, Fault::PauseAfter(Duration::from_secs(1)));
    sessions.delete(&id).await.unwrap();
    assert_eq!(
        session.status(),
        Status::Streaming,
        "as far as is known here"
    );
    let attached = sessions.attach(&id).await;
    assert!(matches!(attached, Err(StoreError::Gone(_))), "{attached:?}");
    assert_eq!(read_all(&mut reader).await, log(&["info", "aborted"]));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_past_the_tail_or_of_another_epoch_is_refused() {
    let (sessions, id) = (builder().build(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    handle.send("a");
    settle().await;
    let ahead = session.reader(Position::after(lsn(3))).await;
    assert!(matches!(ahead, Err(ReadError::Rewound { tail }) if tail == lsn(2)));
    let tag = unbroken::log::Epoch::first().tag();
    let foreign = session.reader(Position::tagged(lsn(2), tag)).await;
    assert!(matches!(foreign, Err(ReadError::Rewound { .. })));
    assert!(session.reader(Position::after(lsn(2))).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_fell_behind_the_hot_log_reads_from_the_store() {
    let sessions = builder().hot_bytes(100).build();
    let id = id("one");
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    let mut slow = session.reader(Position::START).await.unwrap();
    let mut expected = vec!["info".to_owned()];
    for n in 0..500 {
        let text = format!("record {n}");
        handle.send(&text);
        expected.push(text);
        if n % 50 == 0 {
            settle().await;
        }
    }
    drop(handle);
    settle().await;
    expected.push("complete".to_owned());
    let all: Vec<_> = read_all(&mut slow).await;
    assert_eq!(all, (1..).zip(expected).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_lone_event_is_shown_at_once() {
    let (sessions, id) = (builder().build(), id("one"));
    let (handle, source) = channel_source();
    let session = begin(&sessions, &id, source).await;
    let mut reader = session.reader(Position::after(lsn(0))).await.unwrap();
    read(&mut reader, 1).await;
    settle().await;
    let before = tokio::time::Instant::now();
    handle.send("a");
    read(&mut reader, 1).await;
    assert!(before.elapsed() <= Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn a_reader_never_goes_on_from_a_record_that_the_store_has_lost() {
    let store = FaultStore::new(Memory::new());
    let memory = store.inner();
    let (id, first) = orphan(memory, "one", &["info"]).await;
    let replica = memory.snapshot();
    append(memory, &id, first, 2, &["lost"]).await;
    let there = SessionsBuilder::new(store.clone(), TextFormat).build();
    // The follower's first read arrives late.
    let late = Fault::PauseBefore(Duration::from_secs(1));
    store.faults().next(Op::Read, late);
    let followed = there.attach(&id).await.unwrap();
    settle().await;
    let position = Position::tagged(lsn(2), first.tag());
    let mut reader = followed.reader(position).await.unwrap();
    // Meanwhile the store fails over to a replica without the record, and the session is continued there.
    memory.restore(&replica);
    memory.jump(LEASE * 2);
    let claimed = memory.claim(&id, first, Token::random(), LEASE).await;
    let second = claimed.unwrap().state.epoch;
    append(memory, &id, second, 2, &["two", "three"]).await;
    let next = reader.next().await;
    assert!(
        matches!(next, Some(Err(ReadError::Rewound { .. }))),
        "{next:?}"
    );
}

async fn append(store: &Memory, id: &SessionId, epoch: Epoch, first: u64, texts: &[&str]) {
    let mut chunk = ChunkBuilder::new();
    for text in texts {
        chunk.push(text.as_bytes());
    }
    let chunk = chunk.take(lsn(first), epoch).unwrap();
    let appended = store.append(id, chunk, AfterAppend::Streaming).await;
    appended.unwrap();
}
