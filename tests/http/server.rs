//! A server: axum on a free port, with a provider that the test drives.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinHandle,
};
use tower_layer::Layer as _;
use unbroken::{
    BoxError,
    access::AnyoneWithTheId,
    chat::{ChatEvent, ChatRequest, provider_fn},
    durable::{ClientFields, DurableLayer},
    provider::scripted::{Script, Scripted},
    session::Sessions,
};

use crate::client::SOON;

pub(crate) const MOUNT: &str = "/api/chat";

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) sessions: Sessions,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn serve(sessions: Sessions, app: Router) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Server {
        addr,
        sessions,
        task,
    }
}

/// Mounts this layer around a provider.
macro_rules! mounted {
    ($layer:expr, $provider:expr) => {
        axum::Router::new().nest_service($crate::server::MOUNT, $layer.layer($provider))
    };
}
pub(crate) use mounted;

/// The fields that the tests open: scripts, earlier turns and tools of the client.
pub(crate) fn fields() -> ClientFields {
    ClientFields::nothing()
        .field("script")
        .history(1024 * 1024)
        .client_tools(16, 64 * 1024)
}

pub(crate) fn layer(sessions: &Sessions) -> DurableLayer {
    DurableLayer::new(sessions.clone(), AnyoneWithTheId::new()).public_path(MOUNT)
}

/// Serves a provider that follows the scripts of the requests.
pub(crate) async fn scripted() -> Server {
    scripted_with(Sessions::in_memory()).await
}

pub(crate) async fn scripted_with(sessions: Sessions) -> Server {
    let layer = layer(&sessions).client_fields(fields());
    let provider = Scripted::new(Script::say("Hello there."));
    serve(sessions, mounted!(layer, provider)).await
}

/// Serves a provider that the test drives.
pub(crate) async fn driven() -> (Server, Calls) {
    driven_with(Sessions::in_memory(), |layer| layer).await
}

pub(crate) async fn driven_with(
    sessions: Sessions,
    with: impl FnOnce(DurableLayer) -> DurableLayer,
) -> (Server, Calls) {
    let layer = with(layer(&sessions));
    driven_at(sessions, &layer).await
}

/// Serves a provider that the test drives, with this layer.
pub(crate) async fn driven_at(sessions: Sessions, layer: &DurableLayer) -> (Server, Calls) {
    let (provider, calls) = provider();
    let app = mounted!(layer, provider);
    (serve(sessions, app).await, calls)
}

/// The calls of a provider, in order.
#[derive(Clone)]
pub(crate) struct Calls(Arc<Mutex<mpsc::UnboundedReceiver<Call>>>);

/// One call of a provider, whose events the test sends.
pub(crate) struct Call {
    pub(crate) request: ChatRequest,
    events: mpsc::UnboundedSender<Result<ChatEvent, BoxError>>,
}

impl Calls {
    pub(crate) async fn next(&self) -> Call {
        tokio::time::timeout(SOON, async { self.0.lock().await.recv().await })
            .await
            .expect("a call")
            .unwrap()
    }

    /// Returns true if there is no further call.
    pub(crate) async fn none(&self) -> bool {
        tokio::task::yield_now().await;
        self.0.lock().await.try_recv().is_err()
    }
}

impl Call {
    pub(crate) fn say(&self, text: &str) {
        self.event(ChatEvent::text(text));
    }

    pub(crate) fn event(&self, event: ChatEvent) {
        self.events.send(Ok(event)).unwrap();
    }

    pub(crate) fn fail(&self, error: impl Into<BoxError>) {
        self.events.send(Err(error.into())).unwrap();
    }

    /// Waits until the stream is dropped.
    pub(crate) async fn dropped(&self) {
        tokio::time::timeout(SOON, self.events.closed())
            .await
            .expect("the stream is dropped");
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.events.is_closed()
    }
}

pub(crate) fn provider() -> (
    impl tower_service::Service<
        ChatRequest,
        Response = stream::BoxStream<'static, Result<ChatEvent, BoxError>>,
        Error = std::convert::Infallible,
        Future: Send,
    > + Clone
    + Send
    + Sync
    + 'static,
    Calls,
) {
    let (tell, calls) = mpsc::unbounded_channel();
    let provider = provider_fn(move |request| {
        let (events, mut said) = mpsc::unbounded_channel();
        let _ = tell.send(Call { request, events });
        Box::pin(stream::poll_fn(move |cx| said.poll_recv(cx)))
            as stream::BoxStream<'static, Result<ChatEvent, BoxError>>
    });
    (provider, Calls(Arc::new(Mutex::new(calls))))
}

/// A request with a question.
pub(crate) fn ask(question: &str) -> Value {
    json!({"messages": [{"role": "user", "content": question}]})
}

/// A request that brings its script.
pub(crate) fn follow(script: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": "Hi"}], "script": script})
}

pub(crate) fn id(name: &str) -> String {
    format!("test-session-{name:-<24}")
}

pub(crate) fn at(id: &str) -> String {
    format!("{MOUNT}/{id}")
}

/// Waits until a condition holds.
pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    tokio::time::timeout(SOON, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("the condition holds in time");
}
