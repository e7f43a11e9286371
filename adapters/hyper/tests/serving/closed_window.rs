//! HTTP/2 streams whose flow control the client keeps closed.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::duplex,
    time::{Instant, sleep},
};
use tower::service_fn;
use unbroken_hyper::{ServerLimits, serve_connection};

const FRAME: usize = 64 * 1024;

/// The bytes of frames that bodies gave and that weren't dropped yet, and the most there ever were.
#[derive(Debug, Clone, Default)]
struct Held(Arc<(AtomicUsize, AtomicUsize)>);

impl Held {
    fn frame(&self, bytes: usize) -> Bytes {
        let now = self.0.0.fetch_add(bytes, SeqCst) + bytes;
        self.0.1.fetch_max(now, SeqCst);
        Bytes::from_owner(HeldFrame(self.clone(), vec![b'x'; bytes]))
    }

    fn now(&self) -> usize {
        self.0.0.load(SeqCst)
    }

    fn most(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

struct HeldFrame(Held, Vec<u8>);

impl AsRef<[u8]> for HeldFrame {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl Drop for HeldFrame {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(self.1.len(), SeqCst);
    }
}

type Sender = SendRequest<Full<Bytes>>;

/// Connects a client to a server whose responses have this number of frames, of this length.
///
/// `/short` is answered with a few bytes.
async fn client(limits: &ServerLimits, window: u32, frames: usize, bytes: usize) -> (Sender, Held) {
    let held = Held::default();
    let counted = held.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let counted = counted.clone();
        let body = if request.uri().path() == "/short" {
            Either::Left(Full::<Bytes>::from("short"))
        } else {
            let frames = (0..frames).map(move |_| Ok::<_, Infallible>(counted.frame(bytes)));
            Either::Right(StreamBody::new(stream::iter(
                frames.map(|it| it.map(Frame::data)),
            )))
        };
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let (client, server) = duplex(1024 * 1024);
    tokio::spawn(serve_connection(server, service, limits));
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .initial_connection_window_size(8 * 1024 * 1024)
        .handshake(TokioIo::new(client))
        .await
        .unwrap();
    tokio::spawn(connection);
    (sender, held)
}

async fn open(sender: &mut Sender, path: &str) -> Response<Incoming> {
    let request = Request::get(format!("http://server{path}")).body(Full::default());
    sender.ready().await.unwrap();
    sender.send_request(request.unwrap()).await.unwrap()
}

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn streams_with_a_closed_window_hold_no_more_than_the_buffer_of_their_connection() {
    for window in [0, 1, 1000] {
        for most in [FRAME, 4 * FRAME, 16 * FRAME] {
            let limits = ServerLimits::default().connection_buffer(most);
            let (mut sender, held) = client(&limits, window, 100, FRAME).await;
            let mut streams = Vec::new();
            for _ in 0..limits.streams {
                let response = open(&mut sender, "/").await;
                assert_eq!(response.status(), StatusCode::OK);
                streams.push(response);
            }
            sleep(Duration::from_millis(1)).await;
            assert_eq!(held.now(), most, "{window}");
            // At worst each waits until the one before it is reset.
            sleep(20 * PATIENCE).await;
            assert_eq!(held.most(), most, "{window}");
            assert_eq!(held.now(), 0, "they were reset");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_nothing_is_reset_after_the_timeout_and_its_connection_goes_on() {
    // The last data of a body counts too, which hyper hands over and forgets.
    for (window, frames) in [(0, 100), (1, 100), (0, 1), (1, 1)] {
        let limits = ServerLimits::default().write_timeout(PATIENCE);
        let (mut sender, held) = client(&limits, window, frames, FRAME).await;
        let stuck = open(&mut sender, "/").await;
        sleep(PATIENCE * 9 / 10).await;
        assert!(held.now() > 0);
        sleep(PATIENCE / 5).await;
        assert_eq!(held.now(), 0, "{window} {frames}");
        // A short response needs no more than this window.
        if window > 0 {
            assert_eq!(open(&mut sender, "/short").await.status(), StatusCode::OK);
        }
        assert!(stuck.into_body().collect().await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_a_byte_in_time_is_not_reset() {
    let limits = ServerLimits::default().write_timeout(PATIENCE);
    let (mut sender, _) = client(&limits, 20_000, 4, 20_000).await;
    let mut body = open(&mut sender, "/").await.into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
        sleep(PATIENCE * 9 / 10).await;
    }
    assert_eq!(read, 80_000);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_events_is_not_reset() {
    let limits = ServerLimits::default().write_timeout(PATIENCE);
    let (client, server) = duplex(64 * 1024);
    let (sender, events) = tokio::sync::mpsc::unbounded_channel::<Bytes>();
    let events = Arc::new(Mutex::new(Some(events)));
    let service = service_fn(move |_: Request<Incoming>| {
        let events = events.lock().unwrap().take().unwrap();
        let frames = stream::unfold(events, |mut events| async move {
            let event = events.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(event)), events))
        });
        async { Ok::<_, Infallible>(Response::new(StreamBody::new(Box::pin(frames)))) }
    });
    tokio::spawn(serve_connection(server, service, &limits));
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(client))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut body = open(&mut client, "/").await.into_body();
    for _ in 0..3 {
        sleep(3 * PATIENCE).await;
        sender.send(Bytes::from_static(b"event")).unwrap();
        let event = body.frame().await.unwrap().unwrap();
        assert_eq!(event.into_data().unwrap(), "event");
    }
    drop(sender);
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_needs_the_room_of_stuck_ones_does_not_wait_for_the_timeout() {
    let limits = ServerLimits::default()
        .write_timeout(PATIENCE)
        .connection_buffer(4 * FRAME);
    let (mut sender, held) = client(&limits, 1000, 1, FRAME).await;
    let mut stuck = Vec::new();
    for _ in 0..4 {
        stuck.push(open(&mut sender, "/").await);
    }
    sleep(PATIENCE / 2).await;
    assert_eq!(held.now(), 4 * FRAME, "without need nothing is reset");
    let began = Instant::now();
    let body = open(&mut sender, "/short").await.into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "short");
    assert!(
        began.elapsed() <= Duration::from_secs(6),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(held.now(), 3 * FRAME, "no more are reset than are needed");
    drop(stuck);
}

#[tokio::test(start_paused = true)]
async fn streams_of_a_slow_socket_are_not_reset_for_the_room_that_they_take() {
    let limits = ServerLimits::default().connection_buffer(2 * FRAME);
    let held = Held::default();
    let counted = held.clone();
    let service = service_fn(move |_: Request<Incoming>| {
        let counted = counted.clone();
        let frames = (0..4).map(move |_| Ok::<_, Infallible>(Frame::data(counted.frame(FRAME))));
        async { Ok::<_, Infallible>(Response::new(StreamBody::new(stream::iter(frames)))) }
    });
    // The client reads 16 KiB in a second.
    let (near, far) = duplex(16 * 1024);
    let (client, mut slow) = duplex(16 * 1024);
    tokio::spawn(serve_connection(near, service, &limits));
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut far_read, mut far_write) = tokio::io::split(far);
        let (mut slow_read, mut slow_write) = tokio::io::split(&mut slow);
        let up = tokio::io::copy(&mut slow_read, &mut far_write);
        let down = async {
            let mut part = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = far_read.read(&mut part).await {
                sleep(Duration::from_secs(1)).await;
                if slow_write.write_all(&part[..count]).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! { _ = up => {} () = down => {} }
    });
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(8 * 1024 * 1024)
        .handshake(TokioIo::new(client))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut readers = Vec::new();
    for _ in 0..6 {
        let body = open(&mut sender, "/").await.into_body();
        readers.push(tokio::spawn(async {
            body.collect().await.unwrap().to_bytes().len()
        }));
    }
    for reader in readers {
        assert_eq!(reader.await.unwrap(), 4 * FRAME);
    }
    assert!(held.most() <= 2 * FRAME);
}
