//! Helpers of the registry's tests: a source that a test feeds, and a format of plain text.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use unbroken::{
    log::{Digest, Ending, Lsn, ServiceName, SessionId},
    session::{Format, Mark, Reader, Session, SessionSpec, Sessions, Source},
};

/// Writes endings as text: `complete`, `aborted`, `interrupted`, …
#[derive(Debug)]
pub(crate) struct TextFormat;

impl Format for TextFormat {
    fn number(&self) -> u16 {
        1
    }

    fn ending(&self, ending: &Ending) -> Bytes {
        let text = match ending {
            Ending::Complete => "complete".to_owned(),
            Ending::Aborted { reason } => match reason {
                Some(reason) => format!("aborted: {reason}"),
                None => "aborted".to_owned(),
            },
            other => format!("{other:?}").to_lowercase(),
        };
        text.into()
    }

    fn summary(&self, terminal: &[u8]) -> Bytes {
        Bytes::copy_from_slice(terminal)
    }
}

/// A source whose records come from a test, through its [`SourceHandle`].
pub(crate) struct ChannelSource {
    steps: mpsc::UnboundedReceiver<SourceStep>,
    counts: Arc<SourceCounts>,
}

/// The sending half of a [`ChannelSource`]. Once all clones are dropped, the source ends.
#[derive(Clone)]
pub(crate) struct SourceHandle {
    steps: mpsc::UnboundedSender<SourceStep>,
    counts: Arc<SourceCounts>,
}

enum SourceStep {
    Record(Vec<u8>, Mark),
    Panic,
}

#[derive(Default)]
struct SourceCounts {
    dropped: AtomicBool,
    polled: AtomicBool,
    pending: AtomicUsize,
}

pub(crate) fn channel_source() -> (SourceHandle, ChannelSource) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let counts = Arc::<SourceCounts>::default();
    let handle = SourceHandle {
        steps: sender,
        counts: counts.clone(),
    };
    let source = ChannelSource {
        steps: receiver,
        counts,
    };
    (handle, source)
}

impl SourceHandle {
    pub(crate) fn send(&self, text: &str) {
        self.send_as(text, Mark::Event);
    }

    pub(crate) fn send_as(&self, text: &str, mark: Mark) {
        self.counts.pending.fetch_add(1, SeqCst);
        let _ = self.steps.send(SourceStep::Record(text.into(), mark));
    }

    /// Makes the source panic.
    pub(crate) fn panic(&self) {
        let _ = self.steps.send(SourceStep::Panic);
    }

    /// Returns how many records the source has not given yet.
    pub(crate) fn pending(&self) -> usize {
        self.counts.pending.load(SeqCst)
    }

    /// Returns true once the source was dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.counts.dropped.load(SeqCst)
    }

    /// Returns true once the source was polled.
    pub(crate) fn was_polled(&self) -> bool {
        self.counts.polled.load(SeqCst)
    }
}

impl Source for ChannelSource {
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        self.counts.polled.store(true, SeqCst);
        match std::task::ready!(self.steps.poll_recv(cx)) {
            Some(SourceStep::Record(record, mark)) => {
                self.counts.pending.fetch_sub(1, SeqCst);
                out.extend_from_slice(&record);
                Poll::Ready(Some(mark))
            }
            Some(SourceStep::Panic) => panic!("as the test wanted"),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for ChannelSource {
    fn drop(&mut self) {
        self.counts.dropped.store(true, SeqCst);
    }
}

pub(crate) fn id(name: &str) -> SessionId {
    format!("{name:-<22}")
        .parse()
        .expect("a test's id is valid")
}

pub(crate) fn start(id: &SessionId) -> SessionSpec {
    SessionSpec::new(
        id.clone(),
        ServiceName::new("test"),
        Digest([7; 32]),
        Bytes::from_static(b"info"),
    )
}

/// Starts a new session.
pub(crate) async fn begin(sessions: &Sessions, id: &SessionId, source: impl Source) -> Session {
    let permit = sessions.permit(None).expect("there is room");
    let started = sessions.start(permit, start(id), source).await;
    let started = started.expect("the session starts");
    assert!(started.created, "it was there before");
    started.session
}

pub(crate) async fn seconds(count: u64) {
    tokio::time::sleep(std::time::Duration::from_secs(count)).await;
}

/// Reads to the end, as text.
pub(crate) async fn read_all(reader: &mut Reader) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    while let Some(batch) = reader.next().await {
        push(&mut all, &batch.expect("the reader continues"));
    }
    all
}

/// Reads the next `count` records or more, one batch at a time.
pub(crate) async fn read(reader: &mut Reader, count: usize) -> Vec<(u64, String)> {
    let mut records = Vec::new();
    while records.len() < count {
        match reader.next().await {
            Some(batch) => push(&mut records, &batch.expect("the reader continues")),
            None => break,
        }
    }
    records
}

fn push(all: &mut Vec<(u64, String)>, batch: &unbroken::session::Batch) {
    for record in batch.chunk().records() {
        let text = String::from_utf8(record.bytes.to_vec()).expect("tests write text");
        all.push((record.lsn.get(), text));
    }
}

/// Numbers the texts that a log should hold, from the first LSN on.
pub(crate) fn log(texts: &[&str]) -> Vec<(u64, String)> {
    (1..)
        .zip(texts.iter().map(|text| (*text).to_owned()))
        .collect()
}

/// Waits, in virtual time, until the condition holds.
pub(crate) async fn until(condition: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..10_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("timed out waiting for: {condition}");
}

pub(crate) fn lsn(number: u64) -> Lsn {
    Lsn::new(number)
}
