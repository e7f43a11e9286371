//! The terminal records of orphans that are sealed: with what their logs tell.

use bytes::Bytes;
use unbroken::{
    log::{Chunk, Ending, Position, ServiceName, SessionId},
    session::{Format, LogFold, Sessions, SessionsBuilder},
    store::{AbortRequest, Memory, Store as _, StoreExt},
};
use unbroken_conformance::{Fault, FaultStore, Op};

use crate::{
    support::{TextFormat, id, until},
    take_over::{LEASE, TestHandler, orphan},
};

/// Writes each ending of an orphan as its name and the number of records before it.
#[derive(Debug)]
struct CountingFormat {
    /// The bytes that the terminal record is longer than that.
    more: usize,
    panics: Option<PanicAt>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum PanicAt {
    Push,
    Ending,
}

struct Count(usize, usize, Option<PanicAt>);

impl Format for CountingFormat {
    fn number(&self) -> u16 {
        TextFormat.number()
    }

    fn ending(&self, ending: &Ending) -> Bytes {
        TextFormat.ending(ending)
    }

    fn fold(&self) -> Option<Box<dyn LogFold>> {
        Some(Box::new(Count(0, self.more, self.panics)))
    }
}

impl LogFold for Count {
    fn push(&mut self, records: &Chunk) {
        assert_ne!(self.2, Some(PanicAt::Push), "as the test wants");
        self.0 += records.records().len();
    }

    fn ending(&self, ending: &Ending) -> Bytes {
        assert_ne!(self.2, Some(PanicAt::Ending), "as the test wants");
        let name = TextFormat.ending(ending);
        let name = String::from_utf8_lossy(&name);
        format!("{name} after {}{}", self.0, " ".repeat(self.1)).into()
    }
}

fn server(store: &FaultStore<Memory>, more: usize) -> Sessions {
    server_with(store, more, None)
}

fn server_with(store: &FaultStore<Memory>, more: usize, panics: Option<PanicAt>) -> Sessions {
    let builder = SessionsBuilder::new(store.clone(), CountingFormat { more, panics });
    builder.lease(LEASE).build()
}

/// Waits until the session is sealed, and returns its last record.
async fn terminal(store: &FaultStore<Memory>, id: &SessionId) -> String {
    let store = store.inner();
    until("it is sealed", async || {
        let state = store.state(id).await.unwrap();
        state.status.outcome().is_some()
    })
    .await;
    let mut at = Position::START;
    loop {
        let page = store.read(id, at, usize::MAX).await.unwrap();
        let chunk = page.chunks.last().expect("a terminal record");
        at = Position::tagged(chunk.last(), chunk.epoch().tag());
        if chunk.last() == page.state.tail {
            let last = chunk.records().next_back().unwrap();
            return String::from_utf8(last.bytes.to_vec()).unwrap();
        }
    }
}

async fn wake_the_sweeper(sessions: &Sessions) {
    let _ = sessions.attach(&id("wakes-the-sweeper")).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_log_of_an_orphan_tells_stands_in_its_terminal_record() {
    let long = "x".repeat(100 * 1024);
    let several_pages = vec![long.as_str(); 12];
    for records in [vec!["info"], vec!["info", "a", "b"], several_pages] {
        let store = FaultStore::new(Memory::new());
        let count = records.len();
        let (id, _) = orphan(store.inner(), "one", &records).await;
        let sessions = server(&store, 0);
        wake_the_sweeper(&sessions).await;
        let expected = format!("interrupted after {count}");
        assert_eq!(terminal(&store, &id).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn so_it_is_after_a_stop_and_where_a_handler_declines() {
    let store = FaultStore::new(Memory::new());
    let (stopped, _) = orphan(store.inner(), "stopped", &["info", "a"]).await;
    let (declined, _) = orphan(store.inner(), "declined", &["info"]).await;
    let abort = AbortRequest::default();
    let _ = store.inner().abort(&stopped, abort).await.unwrap();
    let handler = TestHandler::by(|_| None);
    let sessions = server(&store, 0);
    sessions.on_recovery(ServiceName::new("test"), handler.clone());
    wake_the_sweeper(&sessions).await;
    assert_eq!(terminal(&store, &stopped).await, "aborted after 2");
    assert_eq!(terminal(&store, &declined).await, "interrupted after 1");
    assert_eq!(handler.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_never_began_has_no_log_to_read() {
    let store = FaultStore::new(Memory::new());
    let (id, _) = orphan(store.inner(), "one", &[]).await;
    store.faults().next(Op::Read, Fault::LoseBefore);
    let sessions = server(&store, 0);
    wake_the_sweeper(&sessions).await;
    assert_eq!(terminal(&store, &id).await, "interrupted");
    assert_eq!(store.faults().happened(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_is_repeated_and_one_that_hangs_holds_no_ending_up() {
    for (fault, expected) in [
        (Fault::LoseAfter, "interrupted after 1"),
        (Fault::PauseBefore(LEASE * 2), "interrupted"),
    ] {
        let store = FaultStore::new(Memory::new());
        let (id, _) = orphan(store.inner(), "one", &["info"]).await;
        store.faults().next(Op::Read, fault);
        let sessions = server(&store, 0);
        wake_the_sweeper(&sessions).await;
        assert_eq!(terminal(&store, &id).await, expected, "{fault:?}");
        assert_eq!(store.faults().happened(), 1);
        let state = store.inner().state(&id).await.unwrap();
        assert_eq!(state.epoch.claims(), 1, "within its lease");
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_record_that_is_too_large_is_not_taken() {
    let limit = unbroken::session::Limits::default().event_bytes;
    let name = "interrupted after 1".len();
    for (more, is_taken) in [(limit - name, true), (limit - name + 1, false)] {
        let store = FaultStore::new(Memory::new());
        let (id, _) = orphan(store.inner(), "one", &["info"]).await;
        let sessions = server(&store, more);
        wake_the_sweeper(&sessions).await;
        let record = terminal(&store, &id).await;
        assert_eq!(record.len() == limit, is_taken);
        assert_eq!(record == "interrupted", !is_taken);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fold_that_panics_holds_no_ending_up() {
    for panics in [PanicAt::Push, PanicAt::Ending] {
        let store = FaultStore::new(Memory::new());
        let (id, _) = orphan(store.inner(), "one", &["info"]).await;
        let sessions = server_with(&store, 0, Some(panics));
        wake_the_sweeper(&sessions).await;
        assert_eq!(terminal(&store, &id).await, "interrupted", "{panics:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_terminal_record_that_the_store_finds_too_large_is_written_without_what_the_log_tells() {
    let memory = Memory::new().max_append_bytes(100);
    let store = FaultStore::new(memory);
    let (id, _) = orphan(store.inner(), "one", &["info"]).await;
    let sessions = server(&store, 100);
    wake_the_sweeper(&sessions).await;
    assert_eq!(terminal(&store, &id).await, "interrupted");
    let state = store.inner().state(&id).await.unwrap();
    assert_eq!(state.epoch.claims(), 1);
}
