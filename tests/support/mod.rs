//! What the tests of the registry share: a source that a test feeds, and a format of plain words.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use unbroken::{
    log::{Digest, Ending, Lsn, Outcome, ServiceName, SessionId},
    session::{Format, Mark, Reader, Session, SessionSpec, Sessions, Source},
};

/// Writes endings as words: `complete`, `aborted`, `interrupted`, …
#[derive(Debug)]
pub(crate) struct TextFormat;

impl Format for TextFormat {
    fn number(&self) -> u16 {
        1
    }

    fn ending(&self, ending: &Ending) -> Bytes {
        let word = match ending {
            Ending::Complete => "complete".to_owned(),
            Ending::Aborted { reason } => match reason {
                Some(reason) => format!("aborted: {reason}"),
                None => "aborted".to_owned(),
            },
            other => format!("{other:?}").to_lowercase(),
        };
        word.into()
    }
}

/// A source that says what the test tells it.
pub(crate) struct ChannelSource {
    said: mpsc::UnboundedReceiver<Say>,
    dropped: Arc<AtomicUsize>,
    polled: Arc<AtomicUsize>,
    waiting: Arc<AtomicUsize>,
}

/// Tells a [`ChannelSource`] what to say. Dropped, the source comes to its end.
#[derive(Clone)]
pub(crate) struct SourceHandle {
    say: mpsc::UnboundedSender<Say>,
    dropped: Arc<AtomicUsize>,
    polled: Arc<AtomicUsize>,
    waiting: Arc<AtomicUsize>,
}

pub(crate) enum Say {
    Record(Vec<u8>, Mark),
    Panic,
}

pub(crate) fn channel_source() -> (SourceHandle, ChannelSource) {
    let (say, said) = mpsc::unbounded_channel();
    let (dropped, polled, waiting) = (Arc::default(), Arc::default(), Arc::default());
    let handle = SourceHandle {
        say,
        dropped: Arc::clone(&dropped),
        polled: Arc::clone(&polled),
        waiting: Arc::clone(&waiting),
    };
    let told = ChannelSource {
        said,
        dropped,
        polled,
        waiting,
    };
    (handle, told)
}

impl SourceHandle {
    pub(crate) fn say(&self, text: &str) {
        self.mark(text, Mark::Event);
    }

    pub(crate) fn mark(&self, text: &str, mark: Mark) {
        self.waiting.fetch_add(1, SeqCst);
        let _ = self.say.send(Say::Record(text.into(), mark));
    }

    pub(crate) fn fail(&self, text: &str, outcome: Outcome) {
        self.mark(text, Mark::Terminal(outcome));
    }

    pub(crate) fn panic(&self) {
        let _ = self.say.send(Say::Panic);
    }

    /// How many sayings were not pulled yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// Whether the source was dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(SeqCst) > 0
    }

    /// Whether the source was ever polled.
    pub(crate) fn was_polled(&self) -> bool {
        self.polled.load(SeqCst) > 0
    }
}

impl Source for ChannelSource {
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        self.polled.fetch_add(1, SeqCst);
        self.said.poll_recv(cx).map(|said| match said? {
            Say::Record(record, mark) => {
                let _ = self
                    .waiting
                    .fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1));
                out.extend_from_slice(&record);
                Some(mark)
            }
            Say::Panic => panic!("as the test wanted"),
        })
    }
}

impl Drop for ChannelSource {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, SeqCst);
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
pub(crate) async fn begin(sessions: &Sessions, id: &SessionId, source: ChannelSource) -> Session {
    let permit = sessions.permit(None).expect("there is room");
    let started = sessions.start(permit, start(id), source).await;
    let started = started.expect("the session starts");
    assert!(started.created, "it was there before");
    started.session
}

pub(crate) async fn seconds(count: u64) {
    tokio::time::sleep(std::time::Duration::from_secs(count)).await;
}

/// Everything that a reader gives until it ends, as text.
pub(crate) async fn read_all(reader: &mut Reader) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    while let Some(batch) = reader.next().await {
        push(&mut all, &batch.expect("the reader goes on"));
    }
    all
}

/// The next `count` records, one read at a time; it may read more.
pub(crate) async fn read(reader: &mut Reader, count: usize) -> Vec<(u64, String)> {
    let mut some = Vec::new();
    while some.len() < count {
        match reader.next().await {
            Some(batch) => push(&mut some, &batch.expect("the reader goes on")),
            None => break,
        }
    }
    some
}

fn push(all: &mut Vec<(u64, String)>, batch: &unbroken::session::Batch) {
    for record in batch.chunk().records() {
        let text = String::from_utf8(record.bytes.to_vec()).expect("tests write text");
        all.push((record.lsn.get(), text));
    }
}

/// What a log should hold: these texts, from the first LSN on.
pub(crate) fn log(texts: &[&str]) -> Vec<(u64, String)> {
    (1..)
        .zip(texts.iter().map(|text| (*text).to_owned()))
        .collect()
}

/// Waits, in virtual time, until something is so.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..10_000 {
        if so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never came: {what}");
}

pub(crate) fn lsn(number: u64) -> Lsn {
    Lsn::new(number)
}
