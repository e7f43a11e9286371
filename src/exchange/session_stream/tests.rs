use std::{future::poll_fn, task::ready};

use bytes::BufMut;
use tokio::sync::mpsc;

use super::*;
use crate::{
    log::{Digest, ServiceName},
    session::{Mark, Session, SessionSpec, Sessions, Source},
};

/// Gives the texts that a test sends.
struct Texts(mpsc::UnboundedReceiver<String>);

impl Source for Texts {
    fn poll_record(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        let text = ready!(self.0.poll_recv(cx));
        Poll::Ready(text.map(|text| {
            out.put_slice(text.as_bytes());
            Mark::Event
        }))
    }
}

/// Writes each record as a line.
#[derive(Debug, Default)]
struct Lines {
    may_pause: bool,
}

impl Encoder for Lines {
    fn content_type(&self) -> &'static str {
        "text/plain"
    }

    fn encode(&mut self, records: &Chunk, out: &mut BytesMut) {
        for record in records.records() {
            out.put_slice(record.bytes);
            out.put_u8(b'\n');
        }
    }

    fn heartbeat(&self) -> Option<Bytes> {
        Some(Bytes::from_static(b"beat\n"))
    }

    fn unavailable(&mut self, _: &mut BytesMut) {}

    fn may_pause(&self) -> bool {
        self.may_pause
    }
}

async fn begin(sessions: &Sessions) -> (Session, mpsc::UnboundedSender<String>) {
    let (teller, told) = mpsc::unbounded_channel();
    let id = format!("{:-<22}", "one").parse().unwrap();
    let first = Bytes::from_static(b"info");
    let spec = SessionSpec::new(id, ServiceName::new("test"), Digest([7; 32]), first);
    let permit = sessions.permit(None).unwrap();
    let started = sessions.start(permit, spec, Texts(told)).await.unwrap();
    (started.session, teller)
}

async fn stream(session: &Session, lines: Lines, heartbeat: Option<Duration>) -> SessionStream {
    let reader = session.reader(Position::START).await.unwrap();
    SessionStream::new(reader, Box::new(lines), BytesMut::new(), heartbeat)
}

/// Returns the next frame as text, or `None` at the end.
async fn frame(stream: &mut SessionStream) -> Option<String> {
    let bytes = poll_fn(|cx| stream.poll_bytes(cx)).await?.unwrap();
    Some(String::from_utf8(bytes.to_vec()).unwrap())
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_comes_after_a_whole_period_without_a_frame() {
    let (session, teller) = begin(&Sessions::in_memory()).await;
    let period = Duration::from_secs(10);
    let mut stream = stream(&session, Lines::default(), Some(period)).await;
    assert_eq!(frame(&mut stream).await.unwrap(), "info\n");
    let began = Instant::now();
    let talk = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(8)).await;
        teller.send("said after eight".into()).unwrap();
        teller
    });
    assert_eq!(frame(&mut stream).await.unwrap(), "said after eight\n");
    for due in [18, 28] {
        assert_eq!(frame(&mut stream).await.unwrap(), "beat\n");
        assert_eq!(began.elapsed().as_secs(), due);
    }
    drop(talk);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_after_its_last_bytes_without_an_empty_frame() {
    let (session, teller) = begin(&Sessions::in_memory()).await;
    drop(teller);
    settle().await;
    let mut stream = stream(&session, Lines::default(), None).await;
    let mut frames = Vec::new();
    while frames.len() < 10
        && let Some(frame) = frame(&mut stream).await
    {
        frames.push(frame);
    }
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert!(frames[0].starts_with("info\n"), "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_everything_already_waits_where_others_pause() {
    let (session, teller) = begin(&Sessions::in_memory()).await;
    teller.send("asks".into()).unwrap();
    settle().await;
    let pausing = || Lines { may_pause: true };
    let minute = Duration::from_secs(60);

    let mut new = stream(&session, pausing(), None).await;
    let whole = tokio::time::timeout(minute, async {
        (frame(&mut new).await, frame(&mut new).await)
    });
    let whole = whole.await.expect("it pauses");
    assert_eq!(whole, (Some("info\nasks\n".to_owned()), None));

    let mut back = stream(&session, pausing(), None).await;
    back.skip_to(Lsn::new(2));
    let nothing = tokio::time::timeout(minute, frame(&mut back)).await;
    assert!(nothing.is_err(), "{nothing:?}");
    teller.send("goes on".into()).unwrap();
    assert_eq!(frame(&mut back).await.unwrap(), "goes on\n");
    assert_eq!(frame(&mut back).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_frames_of_a_reader_that_is_behind_are_full_and_within_their_bound() {
    let (session, teller) = begin(&Sessions::in_memory()).await;
    for _ in 0..400 {
        teller.send("x".repeat(1000)).unwrap();
    }
    drop(teller);
    settle().await;
    let mut stream = stream(&session, Lines::default(), None).await;
    let mut sizes = Vec::new();
    while sizes.last() != Some(&0)
        && let Some(frame) = frame(&mut stream).await
    {
        sizes.push(frame.len());
    }
    assert!(sizes.iter().sum::<usize>() > 400 * 1001);
    assert!(sizes.iter().all(|size| *size <= FRAME), "{sizes:?}");
    sizes.pop();
    assert!(sizes.iter().all(|size| *size >= FULL), "{sizes:?}");
}
