//! The body of a session, frame by frame, in virtual time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::{sync::mpsc, time::Instant};
use unbroken::{
    BoxError,
    chat::{ChatEvent, ChatRequest, provider_fn},
    dialect::{Encoder, Native, SessionView},
    durable::{BodyError, ProviderSource, Reply, SessionBody},
    log::{Chunk, Digest, Lsn, Position, ServiceName, SessionId},
    session::{Session, SessionSpec, Sessions},
    store::Memory,
};

type EventSender = mpsc::UnboundedSender<Result<ChatEvent, BoxError>>;

async fn session(sessions: &Sessions) -> (EventSender, Session) {
    let (events, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(Mutex::new(Some(receiver)));
    let provider = provider_fn(move |_: ChatRequest| {
        let mut receiver = receiver.lock().unwrap().take().expect("one call");
        stream::poll_fn(move |cx| receiver.poll_recv(cx))
    });
    let start = SessionSpec::new(
        SessionId::random(),
        ServiceName::new("test"),
        Digest([0; 32]),
        Bytes::from_static(b"{}"),
    );
    let source = ProviderSource::new(provider, ChatRequest::default());
    let permit = sessions.permit(None).unwrap();
    let started = sessions.start(permit, start, source).await.unwrap();
    (events, started.session)
}

async fn finished(sessions: &Sessions, texts: impl IntoIterator<Item = String>) -> Session {
    let (events, session) = session(sessions).await;
    for text in texts {
        events.send(Ok(ChatEvent::text(text))).unwrap();
    }
    drop(events);
    let mut reader = session.reader(Position::START).await.unwrap();
    while reader.next().await.is_some() {}
    session
}

fn ndjson() -> Box<dyn Encoder> {
    let (head, ()) = http::Request::new(()).into_parts();
    Native::new().encoder(&head).unwrap().unwrap()
}

fn sse() -> Box<dyn Encoder> {
    let request = http::Request::get("/").header("accept", "text/event-stream");
    let (head, ()) = request.body(()).unwrap().into_parts();
    Native::new().encoder(&head).unwrap().unwrap()
}

async fn body(session: &Session, encoder: Box<dyn Encoder>, after: u64) -> SessionBody {
    Reply::new(Native::new(), encoder)
        .after(Position::after(Lsn::new(after)))
        .respond(session)
        .await
        .unwrap()
        .into_body()
}

async fn frame(body: &mut SessionBody) -> Option<Result<Bytes, BodyError>> {
    let frame = body.frame().await?;
    Some(frame.map(|it| it.into_data().unwrap()))
}

async fn text(body: &mut SessionBody) -> String {
    let bytes = frame(body).await.unwrap().unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_comes_after_fifteen_seconds_of_silence_and_not_sooner() {
    let (events, session) = session(&Sessions::in_memory()).await;
    let mut body = body(&session, ndjson(), 0).await;
    assert_eq!(text(&mut body).await, "{\"lsn\":1,\"event\":{}}\n");
    let begun = Instant::now();
    assert_eq!(text(&mut body).await, "\n");
    assert_eq!(begun.elapsed().as_secs(), 15);
    assert_eq!(text(&mut body).await, "\n");
    assert_eq!(begun.elapsed().as_secs(), 30);
    // What is sent puts the next one off.
    let (mut body, mut sent) = (body, Vec::new());
    let talk = tokio::spawn(async move {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            events.send(Ok(ChatEvent::text("x"))).unwrap();
        }
        std::future::pending::<()>().await;
    });
    for _ in 0..6 {
        let text = text(&mut body).await;
        sent.push((begun.elapsed().as_secs(), text == "\n"));
    }
    talk.abort();
    assert_eq!(
        sent,
        [
            (40, false),
            (50, false),
            (60, false),
            (70, false),
            (80, false),
            (95, true)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_lets_its_sent_frames_leave_first() {
    let store = Memory::new();
    let sessions = Sessions::builder(store.clone()).build();
    let (events, session) = session(&sessions).await;
    let mut body = body(&session, ndjson(), 0).await;
    text(&mut body).await;
    events.send(Ok(ChatEvent::text("sent"))).unwrap();
    assert!(text(&mut body).await.contains("sent"));
    sessions.shutdown(Duration::ZERO).await;
    let begun = Instant::now();
    assert!(!body.is_end_stream());
    frame(&mut body).await.unwrap().unwrap_err();
    assert!(begun.elapsed() >= Duration::from_millis(20));
    assert!(body.is_end_stream());
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_replay_comes_in_frames_of_up_to_64_kib() {
    let texts = (0..20_000).map(|n| format!("word {n} "));
    let session = finished(&Sessions::in_memory(), texts).await;
    for encoder in [ndjson(), sse()] {
        let mut body = body(&session, encoder, 0).await;
        let mut frames = Vec::new();
        while let Some(frame) = frame(&mut body).await {
            frames.push(frame.unwrap().len());
        }
        assert!(frames.iter().all(|&it| it <= 64 * 1024), "{frames:?}");
        let all: usize = frames.iter().sum();
        assert!(all / frames.len() > 40 * 1024, "{frames:?}");
        assert!(body.is_end_stream());
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_larger_than_a_frame_goes_out_whole() {
    let texts = ["a".repeat(200_000), "b".into(), "c".repeat(200_000)];
    let session = finished(&Sessions::in_memory(), texts).await;
    let mut body = body(&session, ndjson(), 0).await;
    let mut whole = Vec::new();
    while let Some(frame) = frame(&mut body).await {
        whole.extend_from_slice(&frame.unwrap());
    }
    let lines: Vec<_> = whole.split(|&b| b == b'\n').collect();
    assert_eq!(lines.len(), 6);
    assert!(lines[1].len() > 200_000 && lines[3].len() > 200_000);
}

#[tokio::test(start_paused = true)]
async fn readers_that_are_up_to_date_share_one_encoding() {
    let (events, session) = session(&Sessions::in_memory()).await;
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let mut body = body(&session, ndjson(), 0).await;
        text(&mut body).await;
        bodies.push(body);
    }
    events.send(Ok(ChatEvent::text("shared"))).unwrap();
    let mut at = Vec::new();
    for body in &mut bodies {
        at.push(frame(body).await.unwrap().unwrap());
    }
    assert!(at.iter().all(|it| it.as_ptr() == at[0].as_ptr()));
}

#[tokio::test]
async fn a_document_has_an_exact_size() {
    let empty = SessionBody::empty();
    assert!(empty.is_end_stream());
    assert_eq!(empty.size_hint().exact(), Some(0));
    let mut document = SessionBody::document(Bytes::from_static(b"{}"));
    assert!(!document.is_end_stream());
    assert_eq!(document.size_hint().exact(), Some(2));
    assert_eq!(text(&mut document).await, "{}");
    assert!(document.is_end_stream());
    assert_eq!(document.size_hint().exact(), Some(0));
    assert!(frame(&mut document).await.is_none());
}

/// An encoder that numbers the words of an answer across its events.
#[derive(Debug, Default)]
struct WordEncoder {
    words: usize,
    shared: bool,
}

impl WordEncoder {
    fn write(&mut self, records: &Chunk, mut out: Option<&mut BytesMut>) {
        for record in records.records() {
            let Ok(ChatEvent::Text(text)) = serde_json::from_slice(record.bytes) else {
                continue;
            };
            for word in text.content.split_whitespace() {
                self.words += 1;
                if let Some(out) = &mut out {
                    out.extend_from_slice(format!("{} {word}\n", self.words).as_bytes());
                }
            }
        }
    }
}

impl Encoder for WordEncoder {
    fn content_type(&self) -> &'static str {
        "text/plain"
    }

    fn preamble(&mut self, session: &SessionView<'_>, out: &mut BytesMut) {
        out.extend_from_slice(format!("to {}\n", session.tail).as_bytes());
    }

    fn is_stateful(&self) -> bool {
        true
    }

    fn skip(&mut self, records: &Chunk) {
        self.write(records, None);
    }

    fn encode(&mut self, records: &Chunk, out: &mut BytesMut) {
        self.write(records, Some(out));
    }

    fn shared_key(&self) -> Option<&'static str> {
        self.shared.then_some("words")
    }

    fn heartbeat(&self) -> Option<Bytes> {
        None
    }

    fn unavailable(&mut self, _: &mut BytesMut) {}

    fn trailer(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(format!("{} words\n", self.words).as_bytes());
    }
}

async fn all(mut body: SessionBody) -> String {
    let mut all = String::new();
    while let Some(bytes) = frame(&mut body).await {
        all.push_str(std::str::from_utf8(&bytes.unwrap()).unwrap());
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_stateful_encoder_continues_after_a_cut_as_if_there_were_none() {
    let texts = (0..20).map(|n| format!("one{n} two{n} "));
    let session = finished(&Sessions::in_memory(), texts).await;
    let whole = all(body(&session, Box::<WordEncoder>::default(), 0).await).await;
    assert!(whole.starts_with("to 22\n1 one0\n2 two0\n"));
    assert!(whole.ends_with("40 two19\n40 words\n"));
    for lsn in 1..22 {
        let rest = all(body(&session, Box::<WordEncoder>::default(), lsn).await).await;
        let rest = rest.strip_prefix("to 22\n").unwrap();
        assert!(whole.ends_with(rest), "after {lsn}: {rest}");
        let words = 20_u64.saturating_sub(lsn - 1) * 2 + 1;
        assert_eq!(rest.lines().count() as u64, words, "after {lsn}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stateful_encoder_skips_what_another_has_encoded_for_it() {
    let (events, session) = session(&Sessions::in_memory()).await;
    let words = || {
        Box::new(WordEncoder {
            words: 0,
            shared: true,
        })
    };
    let mut first = body(&session, words(), 0).await;
    let mut second = body(&session, words(), 0).await;
    for n in 0..5 {
        events
            .send(Ok(ChatEvent::text(format!("word{n}"))))
            .unwrap();
        let line = format!("{} word{n}\n", n + 1);
        for body in [&mut first, &mut second] {
            let mut got = text(body).await;
            while !got.ends_with(&line) {
                got.push_str(&text(body).await);
            }
        }
    }
    drop(events);
    assert!(all(first).await.ends_with("5 words\n"));
    assert!(all(second).await.ends_with("5 words\n"));
}

#[tokio::test(start_paused = true)]
async fn records_without_bytes_hold_back_nothing_behind_them() {
    // All of it is skipped, or written as nothing.
    for (shared, after) in [(false, 0), (false, 1), (true, 0)] {
        let (events, session) = session(&Sessions::in_memory()).await;
        let mut reader = session.reader(Position::START).await.unwrap();
        reader.next().await.unwrap().unwrap();
        let words = Box::new(WordEncoder { words: 0, shared });
        let mut body = body(&session, words, after).await;
        assert_eq!(text(&mut body).await, "to 1\n");
        for word in 1..10 {
            let events = events.clone();
            // On a task of its own, else it would wake the reader too.
            tokio::spawn(async move {
                for _ in 0..word % 3 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    let quiet = ChatEvent::custom("quiet", serde_json::json!({}));
                    events.send(Ok(quiet)).unwrap();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                events.send(Ok(ChatEvent::text("word"))).unwrap();
            });
            // A reader that isn't woken looks again when its time is over.
            let begun = Instant::now();
            let text = tokio::time::timeout(Duration::from_secs(1), text(&mut body));
            let text = text.await.unwrap();
            assert!(
                begun.elapsed() < Duration::from_millis(50),
                "it was not woken"
            );
            assert_eq!(text, format!("{word} word\n"));
        }
    }
}
