//! An application that knows nothing of this project, with one layer around its router.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::State,
    response::{
        IntoResponse as _, Response, Sse,
        sse::{Event, KeepAlive},
    },
    routing::{get, post},
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, header};
use http_body_util::Full;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc, oneshot},
    task::JoinHandle,
};
use unbroken::{
    BoxError, access::AnyoneWithTheId, record::RecordLayer, session::Sessions, store::Memory,
};

use crate::client::{Answer, SOON, With as _, empty, send};

/// The path of the route that a test drives.
pub(crate) const ASK: &str = "/ask";

/// A server of the application.
pub(crate) struct App {
    pub(crate) addr: SocketAddr,
    pub(crate) sessions: Sessions,
    asked: Arc<Mutex<mpsc::UnboundedReceiver<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One call of a handler.
pub(crate) struct Asked {
    pub(crate) headers: HeaderMap,
    pub(crate) extensions: http::Extensions,
    pub(crate) body: String,
    respond: oneshot::Sender<Response>,
}

/// A body of events, which the test sends.
pub(crate) struct Said {
    events: mpsc::UnboundedSender<Result<Bytes, BoxError>>,
}

/// Responds with events by `Sse`, as an application does.
async fn tell(
    State(calls): State<mpsc::UnboundedSender<Asked>>,
    request: axum::extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let (respond, response) = oneshot::channel();
    let asked = Asked {
        headers: head.headers,
        extensions: head.extensions,
        body: String::from_utf8(body.to_vec()).unwrap(),
        respond,
    };
    let _ = calls.send(asked);
    response.await.expect("the test responds")
}

/// Says a fixed answer.
async fn greet() -> Sse<impl stream::Stream<Item = Result<Event, Infallible>>> {
    let words = ["Hel", "lo", " there", "."];
    let events = stream::iter(words.map(|word| Ok(Event::default().data(word))));
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Returns the application's own router, and the calls of its handler.
fn router() -> (Router, mpsc::UnboundedReceiver<Asked>) {
    let (calls, asked) = mpsc::unbounded_channel();
    let router = Router::new()
        .route(ASK, post(tell))
        .route("/live", get(tell))
        .route("/greet", post(greet))
        .route("/page", get(|| async { "a page" }))
        .with_state(calls);
    (router, asked)
}

pub(crate) fn layer(sessions: &Sessions) -> RecordLayer {
    RecordLayer::new(sessions.clone(), AnyoneWithTheId::new())
}

impl App {
    /// Serves the application with a layer.
    pub(crate) async fn new() -> Self {
        Self::with(Sessions::in_memory(), |layer| layer).await
    }

    /// Serves the application on a store that others share.
    pub(crate) async fn on(store: &Memory) -> Self {
        Self::with(Sessions::builder(store.clone()).build(), |layer| layer).await
    }

    pub(crate) async fn with(
        sessions: Sessions,
        with: impl FnOnce(RecordLayer) -> RecordLayer,
    ) -> Self {
        let layer = with(layer(&sessions));
        Self::serve(sessions, |router| router.layer(layer)).await
    }

    pub(crate) async fn serve(sessions: Sessions, layered: impl FnOnce(Router) -> Router) -> Self {
        let (router, asked) = router();
        let app = layered(router);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            addr,
            sessions,
            asked: Arc::new(Mutex::new(asked)),
            task,
        }
    }

    /// Waits for the next call of the handler.
    pub(crate) async fn asked(&self) -> Asked {
        tokio::time::timeout(SOON, async { self.asked.lock().await.recv().await })
            .await
            .expect("a call")
            .unwrap()
    }

    /// Returns true if the handler wasn't called again.
    pub(crate) async fn is_quiet(&self) -> bool {
        tokio::task::yield_now().await;
        self.asked.lock().await.try_recv().is_err()
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        send(self.addr, request).await
    }

    /// Sends a request on a task, for an answer that waits for the handler.
    pub(crate) fn send_later(&self, request: Request<Full<Bytes>>) -> JoinHandle<Answer> {
        tokio::spawn(send(self.addr, request))
    }

    /// Starts a session whose handler responds with events.
    pub(crate) async fn start(&self, request: Request<Full<Bytes>>) -> (Answer, Said) {
        let answer = self.send_later(request);
        let said = self.asked().await.events();
        (answer.await.unwrap(), said)
    }
}

impl Asked {
    pub(crate) fn respond(self, response: impl axum::response::IntoResponse) {
        let _ = self.respond.send(response.into_response());
    }

    /// Responds with `Sse`, and a cookie.
    pub(crate) fn events(self) -> Said {
        self.stream("text/event-stream")
    }

    pub(crate) fn stream(self, content_type: &'static str) -> Said {
        let (events, mut said) = mpsc::unbounded_channel();
        let body = axum::body::Body::from_stream(stream::poll_fn(move |cx| said.poll_recv(cx)));
        let head = [
            (header::CONTENT_TYPE, content_type),
            (header::SET_COOKIE, "secret=1"),
            (header::CONTENT_LANGUAGE, "en"),
            (header::HeaderName::from_static("x-own"), "own"),
        ];
        self.respond((head, body).into_response());
        Said { events }
    }

    /// Returns true if the client or the layer no longer waits for the handler.
    pub(crate) fn is_dropped(&self) -> bool {
        self.respond.is_closed()
    }
}

impl Said {
    pub(crate) fn say(&self, text: &str) {
        self.bytes(&format!("data: {text}\n\n"));
    }

    pub(crate) fn bytes(&self, bytes: &str) {
        self.events.send(Ok(bytes.to_owned().into())).unwrap();
    }

    pub(crate) fn fail(&self) {
        self.events.send(Err("as the test wanted".into())).unwrap();
    }

    /// Waits until the body is dropped.
    pub(crate) async fn dropped(&self) {
        tokio::time::timeout(SOON, self.events.closed())
            .await
            .expect("the body is dropped");
    }
}

/// A question.
pub(crate) fn ask(question: &str) -> Request<Full<Bytes>> {
    Request::post(ASK)
        .header(header::CONTENT_TYPE, "text/plain")
        .body(Full::from(question.to_owned()))
        .unwrap()
}

/// A request about a session, by its header.
pub(crate) fn about(method: &str, id: &str) -> Request<Full<Bytes>> {
    empty(method, ASK).with("x-session-id", id)
}

/// A session id of a client.
pub(crate) fn id(name: &str) -> String {
    format!("{name:-<22}")
}

/// The data of the events of a stream, each with its id.
pub(crate) fn frames(text: &str) -> Vec<(String, String)> {
    text.split_inclusive("\n\n")
        .filter_map(|event| {
            let of = |field: &str| event.lines().find_map(|line| line.strip_prefix(field));
            let data = of("data:")?;
            Some((
                of("id: ")?.to_owned(),
                data.strip_prefix(' ').unwrap_or(data).to_owned(),
            ))
        })
        .collect()
}

/// The data of the events of a stream.
pub(crate) fn data(text: &str) -> Vec<String> {
    frames(text).into_iter().map(|(_, data)| data).collect()
}
