//! The metrics of a known load, and their table.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{Request, StatusCode};
use http_body_util::Full;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tower::{Layer, ServiceExt};
use unbroken::{
    DurableLayer, Sessions,
    access::AnyoneWithTheId,
    chat::{ChatEvent, ChatRequest, ProviderError, provider_fn},
    durable::{ProviderSource, digest_of},
    log::{Outcome, Position, ServiceName, SessionId, Status},
    session::{Mark, SessionSpec, Source},
    store::{AbortRequest, Memory},
};

const TABLE: &str = include_str!("../../docs/operations/metrics.md");

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

#[tokio::test]
async fn the_metrics_add_up_to_what_a_load_did_and_are_those_of_the_table() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    unbroken::metrics::describe();
    unbroken::metrics::describe();
    let sessions = Sessions::builder(Memory::new()).build();
    let mut records = 0;

    let answers = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))]));
    for _ in 0..200 {
        let source = ProviderSource::new(answers.clone(), ChatRequest::from_user("Why?"));
        let id = begin(&sessions, "answers", source).await;
        let (count, status) = read(&sessions, &id).await;
        assert_eq!(status, Status::Ended(Outcome::Complete));
        records += count;
    }
    let fails = provider_fn(|_| stream::iter([Err::<ChatEvent, _>(ProviderError::new("no"))]));
    for _ in 0..50 {
        let source = ProviderSource::new(fails.clone(), ChatRequest::from_user("Why?"));
        let id = begin(&sessions, "fails", source).await;
        records += read(&sessions, &id).await.0;
    }
    for at in 0..100 {
        // More services than have labels of their own.
        let id = begin(&sessions, &format!("waits {at}"), Waits(false)).await;
        until("the wait", || sessions.waiting() == 1).await;
        sessions.abort(&id, AbortRequest::default()).await.unwrap();
        let (count, status) = read(&sessions, &id).await;
        assert_eq!(status, Status::Ended(Outcome::Aborted));
        records += count;
        until("the end", || sessions.waiting() == 0).await;
    }
    let chat = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new()).layer(answers);
    for _ in 0..7 {
        let path = format!("/{}", SessionId::random());
        let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        let response = chat.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
    until("the end", || sessions.running() == 0).await;

    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut ended: BTreeMap<String, u64> = BTreeMap::new();
    let snapshot = snapshotter.snapshot().into_vec();
    assert!(snapshot.len() < 2_000, "{}", snapshot.len());
    for (key, unit, description, value) in snapshot {
        let (_, key) = key.into_parts();
        assert!(unit.is_some() && description.is_some(), "{key}");
        let name = key.name().to_owned();
        let of_metric = labels.entry(name.clone()).or_default();
        of_metric.extend(key.labels().map(|label| label.key().to_owned()));
        if let ("unbroken.sessions.ended", DebugValue::Counter(count)) = (&*name, &value) {
            let how = key.labels().filter(|it| it.key() != "service");
            let how: Vec<_> = how.map(|it| it.value().to_owned()).collect();
            *ended.entry(how.join(" ")).or_default() += count;
        }
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(gauge) => gauge.into_inner(),
            DebugValue::Histogram(values) => values.len() as f64,
        };
        *sums.entry(name).or_default() += value;
    }
    let is = |name: &str, expected: u64| {
        let sum = sums[name];
        assert!((sum - expected as f64).abs() < 0.5, "{name}: {sum}");
    };
    is("unbroken.sessions.started", 350);
    is("unbroken.sessions.attached", 350);
    is("unbroken.sessions.ended", 350);
    is("unbroken.events.written", records);
    is("unbroken.events.read", records);
    is("unbroken.refusals", 7);
    for gauge in ["sessions.running", "sessions.waiting", "readers.open"] {
        is(&format!("unbroken.{gauge}"), 0);
    }
    let expected = [
        ("aborted none", 100),
        ("complete none", 200),
        ("error provider", 50),
    ];
    assert_eq!(
        ended,
        expected.map(|(how, count)| (how.to_owned(), count)).into()
    );

    let table: BTreeMap<String, BTreeSet<String>> = TABLE
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<_> = line.split(" | ").collect();
            let labels = cells[3].split(", ").filter(|it| !it.is_empty());
            let plain = |text: &str| text.trim_matches(['|', ' ', '`']).to_owned();
            (
                plain(cells[0]),
                labels.map(plain).filter(|it| !it.is_empty()).collect(),
            )
        })
        .collect();
    // No call of this load fails.
    let mut recorded = labels;
    let failures = (
        "unbroken.store.call.failures".to_owned(),
        BTreeSet::from(["call".to_owned()]),
    );
    assert!(recorded.insert(failures.0, failures.1).is_none());
    assert_eq!(recorded, table);
}
