//! Two thousand readers of one answer that open streams and read nothing.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::{io::duplex, time::sleep};
use tower::{BoxError, Service, ServiceExt};
use unbroken::session::{Session, Sessions};
use unbroken_hyper::{ServerLimits, serve_connection};

use crate::{
    client::{get, post},
    server::{MOUNT, chat, follow},
};

const CONNECTIONS: usize = 20;

/// A body whose data counts until it is dropped.
struct CountedBody<B> {
    body: Pin<Box<B>>,
    held: Arc<AtomicUsize>,
}

struct CountedBytes {
    bytes: Bytes,
    held: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for CountedBytes {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes.len(), SeqCst);
    }
}

impl<B: Body<Data = Bytes>> Body for CountedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = std::task::ready!(self.body.as_mut().poll_frame(cx));
        let count = |bytes: Bytes| {
            let held = self.held.clone();
            held.fetch_add(bytes.len(), SeqCst);
            Bytes::from_owner(CountedBytes { bytes, held })
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(count))))
    }
}

async fn connect<S, B>(service: S, limits: &ServerLimits, window: u32) -> SendRequest<Full<Bytes>>
where
    S: Service<Request<Incoming>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let (client, server) = duplex(64 * 1024);
    tokio::spawn(serve_connection(server, service, limits));
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .handshake::<_, Full<Bytes>>(TokioIo::new(client))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

/// Two thousand readers of one answer whose windows stay closed.
struct IdleReaders {
    session: Session,
    /// The bytes that the server holds for them.
    held: Arc<AtomicUsize>,
    _responses: Vec<Response<Incoming>>,
}

impl IdleReaders {
    async fn open(limits: &ServerLimits) -> Self {
        let sessions = Sessions::in_memory();
        let held = Arc::new(AtomicUsize::new(0));
        let counted = held.clone();
        let chat = chat(&sessions);
        let service = ServiceExt::<Request<Incoming>>::map_response(chat, move |response| {
            let held = counted.clone();
            response.map(|body| CountedBody {
                body: Box::pin(body),
                held,
            })
        });

        let mut writer = connect(service.clone(), limits, 1 << 20).await;
        let asked = post(MOUNT, &follow(&json!({"tokens": 5000, "delayMs": 0})));
        let answer = writer.send_request(asked).await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let (location, id) = (header("content-location"), header("x-session-id"));
        let whole = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(whole.len() > 4 * 64 * 1024, "{}", whole.len());
        assert_eq!(held.load(SeqCst), 0);

        let session = sessions.attach(&id.parse().unwrap()).await.unwrap();
        let mut responses = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut client = connect(service.clone(), limits, 0).await;
            for _ in 0..limits.streams {
                client.ready().await.unwrap();
                let answer = client.send_request(get(&location)).await.unwrap();
                assert_eq!(answer.status(), 200);
                responses.push(answer);
            }
        }
        assert_eq!(responses.len(), 2000);
        assert_eq!(session.clients(), 2001);
        sleep(Duration::from_millis(1)).await;
        Self {
            session,
            held,
            _responses: responses,
        }
    }

    fn held(&self) -> usize {
        self.held.load(SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn two_thousand_readers_with_a_closed_window_hold_a_mebibyte_for_each_connection() {
    let limits = ServerLimits::default();
    let readers = IdleReaders::open(&limits).await;
    let bytes = readers.held();
    assert!(
        bytes > CONNECTIONS * limits.connection_buffer / 2,
        "{bytes}"
    );
    assert!(bytes <= CONNECTIONS * limits.connection_buffer, "{bytes}");

    // The readers that wait for the room of others get it, and are stuck themselves.
    let mut most = bytes;
    for _ in 0..600 {
        sleep(Duration::from_secs(1)).await;
        most = most.max(readers.held());
    }
    assert!(most <= CONNECTIONS * limits.connection_buffer, "{most}");
    assert_eq!(readers.held(), 0);
    assert_eq!(readers.session.clients(), 1, "the handle of the test");
}

/// A control: what these readers would hold without a bound for a connection.
#[tokio::test(start_paused = true)]
async fn two_thousand_readers_hold_many_times_more_where_the_bound_of_a_connection_is_lifted() {
    let bound = CONNECTIONS * ServerLimits::default().connection_buffer;
    let limits = ServerLimits::default().connection_buffer(1 << 30);
    let bytes = IdleReaders::open(&limits).await.held();
    assert!(bytes > 4 * bound, "{bytes}");
}
