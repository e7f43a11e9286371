//! A server: `warp::serve` on a free port, with a provider that the test controls.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use futures_util::stream::{self, BoxStream};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
    task::JoinHandle,
};
use tower_service::Service;
use unbroken::{
    BoxError,
    access::AnyoneWithTheId,
    chat::{ChatEvent, ChatRequest, provider_fn},
    durable::DurableLayer,
    session::Sessions,
};
use warp::Filter;

use crate::client::SOON;

pub(crate) const ID: &str = "a-session-of-some-client-0001";

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves a filter by `warp::serve`.
macro_rules! serve {
    ($filter:expr) => {{
        let (listener, addr) = $crate::server::listen().await;
        let run = warp::serve($filter).incoming(listener).run();
        $crate::server::Server::new(addr, tokio::spawn(run))
    }};
}
pub(crate) use serve;

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

impl Server {
    pub(crate) fn new(addr: SocketAddr, task: JoinHandle<()>) -> Self {
        Self { addr, task }
    }
}

pub(crate) fn layer(sessions: &Sessions) -> DurableLayer {
    DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
}

/// Creates a filter that gives routes a registry.
pub(crate) fn with(
    sessions: Sessions,
) -> impl Filter<Extract = (Sessions,), Error = Infallible> + Clone {
    warp::any().map(move || sessions.clone())
}

/// Creates a provider that answers with a greeting.
pub(crate) fn hello() -> impl Service<
    ChatRequest,
    Response = BoxStream<'static, Result<ChatEvent, BoxError>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ Sync
+ 'static {
    provider_fn(|_request| {
        let events = ["Hel", "lo"].map(|it| Ok(ChatEvent::text(it)));
        Box::pin(stream::iter(events)) as BoxStream<'static, Result<ChatEvent, BoxError>>
    })
}

/// The calls of a provider, in order.
#[derive(Clone)]
pub(crate) struct Calls(Arc<Mutex<mpsc::UnboundedReceiver<Call>>>);

/// One call of a provider, which emits the events that the test sends; dropping it ends the stream.
pub(crate) struct Call(mpsc::UnboundedSender<Result<ChatEvent, BoxError>>);

impl Calls {
    pub(crate) async fn next(&self) -> Call {
        tokio::time::timeout(SOON, async { self.0.lock().await.recv().await })
            .await
            .expect("a call")
            .unwrap()
    }
}

impl Call {
    pub(crate) fn say(&self, text: &str) {
        self.0.send(Ok(ChatEvent::text(text))).unwrap();
    }
}

/// Creates a provider that the test controls.
pub(crate) fn driven() -> (
    impl Service<
        ChatRequest,
        Response = BoxStream<'static, Result<ChatEvent, BoxError>>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + Sync
    + 'static,
    Calls,
) {
    let (tell, calls) = mpsc::unbounded_channel();
    let provider = provider_fn(move |_request| {
        let (events, mut said) = mpsc::unbounded_channel();
        let _ = tell.send(Call(events));
        Box::pin(stream::poll_fn(move |cx| said.poll_recv(cx)))
            as BoxStream<'static, Result<ChatEvent, BoxError>>
    });
    (provider, Calls(Arc::new(Mutex::new(calls))))
}

/// Creates the body of a request with a question.
pub(crate) fn question() -> Value {
    json!({"messages": [{"role": "user", "content": "Hi"}]})
}
