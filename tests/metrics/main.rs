//! The metrics of a known load, and their table.

mod recorded;

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{Request, StatusCode};
use http_body_util::Full;
use metrics_util::debugging::DebuggingRecorder;
use tower::{Layer, ServiceExt};
use unbroken::{
    DurableLayer, Sessions,
    access::AnyoneWithTheId,
    chat::{ChatEvent, ChatRequest, ProviderError, provider_fn},
    durable::{ProviderSource, digest_of},
    log::{ErrorCode, Outcome, Position, ServiceName, SessionId, Status},
    session::{Mark, SessionSpec, Source},
    store::{AbortRequest, Memory},
};
use unbroken_conformance::FaultStore;

use self::recorded::{MODULE, Recorded, TABLE, rows};

/// Waits for a person, and gives nothing more.
struct Waits(bool);

impl Source for Waits {
    fn poll_record(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Pending;
        }
        out.extend_from_slice(&ChatEvent::text("?").to_json());
        Poll::Ready(Some(Mark::Waiting))
    }
}

async fn begin(sessions: &Sessions, service: &str, source: impl Source) -> SessionId {
    let id = SessionId::random();
    let first = Bytes::from_static(b"{}");
    let service = ServiceName::new(service);
    let spec = SessionSpec::new(id.clone(), service, digest_of(["load"]), first);
    let permit = sessions.permit(None).unwrap();
    assert!(sessions.start(permit, spec, source).await.unwrap().created);
    id
}

/// Reads a session to its end. Returns the number of its records.
async fn read(sessions: &Sessions, id: &SessionId) -> (u64, Status) {
    let session = sessions.attach(id).await.unwrap();
    let mut reader = session.reader(Position::START).await.unwrap();
    while let Some(batch) = reader.next().await {
        batch.unwrap();
    }
    (reader.tail().get(), reader.status())
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} doesn't come");
}

/// Plays 350 sessions: 200 that complete, 50 that fail, and 100 that are stopped. Returns the number of records.
async fn load(sessions: &Sessions) -> u64 {
    let mut records = 0;
    let answers = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
    for _ in 0..200 {
        let source = ProviderSource::new(answers, ChatRequest::from_user("Why?"));
        let id = begin(sessions, "answers", source).await;
        let (count, status) = read(sessions, &id).await;
        assert_eq!(status, Status::Ended(Outcome::Complete));
        records += count;
    }
    let fails = provider_fn(|_| stream::iter([Err::<ChatEvent, _>(ProviderError::new("no"))]));
    for _ in 0..50 {
        let source = ProviderSource::new(fails, ChatRequest::from_user("Why?"));
        let id = begin(sessions, "fails", source).await;
        records += read(sessions, &id).await.0;
    }
    for at in 0..100 {
        // More services than have labels of their own.
        let id = begin(sessions, &format!("waits {at}"), Waits(false)).await;
        until("the wait", || sessions.waiting() == 1).await;
        sessions.abort(&id, AbortRequest::default()).await.unwrap();
        let (count, status) = read(sessions, &id).await;
        assert_eq!(status, Status::Ended(Outcome::Aborted));
        records += count;
        until("the end", || sessions.waiting() == 0).await;
    }
    records
}

#[tokio::test]
async fn the_metrics_add_up_to_what_a_load_did_and_are_those_of_the_table() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    unbroken::metrics::describe();
    unbroken::metrics::describe();
    // Two handles, so that sessions outlive their server.
    let memory = Memory::new();
    let store = FaultStore::new(memory.clone());
    let sessions = Sessions::builder(store.clone()).build();
    let mut records = load(&sessions).await;
    let answers = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
    let chat = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new()).layer(answers);
    for _ in 0..7 {
        let path = format!("/{}", SessionId::random());
        let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        let response = chat.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
    store.faults().outage(true);
    for _ in 0..3 {
        assert_eq!(sessions.health().await.store_latency, None);
    }
    store.faults().heal();
    // A session that its server hands over is sealed by another one.
    let left = begin(&sessions, "left", Waits(false)).await;
    until("the wait", || sessions.waiting() == 1).await;
    sessions.shutdown(Duration::ZERO).await;
    let other = Sessions::builder(store).build();
    let (count, status) = read(&other, &left).await;
    assert_eq!(
        status,
        Status::Ended(Outcome::Error(ErrorCode::Interrupted))
    );
    assert_eq!(count, 3);
    records += count;
    until("the end", || sessions.running() == 0).await;

    let seen = Recorded::of(snapshotter.snapshot());
    let is = |name: &str, expected: u64| seen.is(name, expected);
    is("unbroken.sessions.started", 351);
    is("unbroken.sessions.attached", 351);
    is("unbroken.sessions.ended", 351);
    // The end of that session was written by no writer.
    is("unbroken.events.written", records - 1);
    is("unbroken.events.read", records);
    is("unbroken.refusals", 7);
    is("unbroken.store.call.failures", 3);
    for gauge in ["sessions.running", "sessions.waiting", "readers.open"] {
        is(&format!("unbroken.{gauge}"), 0);
    }
    let expected = [
        ("aborted none", 100),
        ("complete none", 200),
        ("error interrupted", 1),
        ("error provider", 50),
    ];
    assert_eq!(
        seen.ended,
        expected.map(|(how, count)| (how.to_owned(), count)).into()
    );

    assert_eq!(seen.rows, rows(TABLE));
    assert_eq!(seen.rows, rows(MODULE));
    drop(memory);
}
