//! A server on a free port, whose provider follows the script in each request.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tower_layer::Layer as _;
use unbroken::{
    access::AnyoneWithTheId,
    chat::Provider,
    durable::{ClientFields, DurableLayer, DurableService},
    provider::scripted::{Script, Scripted},
    session::Sessions,
    store::Memory,
};
use unbroken_hyper::{Mount, NotFound, ServerLimits, mount, serve};

use crate::client::SOON;

pub(crate) const MOUNT: &str = "/api/chat";

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) sessions: Sessions,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    /// The handle of another server, which could go on with the sessions.
    _other: Option<Memory>,
}

pub(crate) fn chat(sessions: &Sessions) -> Mount<DurableService<Scripted>, NotFound> {
    let chat = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
        .client_fields(ClientFields::nothing().field("script"))
        .layer(Scripted::new(Script::say("Hello there.")));
    mount(MOUNT, chat)
}

/// Starts a server without a hand-over.
pub(crate) async fn start(limits: ServerLimits) -> Server {
    let (listener, addr) = bind().await;
    let sessions = Sessions::in_memory();
    let (stop, stopped) = oneshot::channel();
    let server = serve(listener, chat(&sessions))
        .limits(limits)
        .with_graceful_shutdown(async { drop(stopped.await) });
    Server {
        addr,
        sessions,
        _other: None,
        stop: Some(stop),
        task: tokio::spawn(server.into_future()),
    }
}

/// Starts a server with a hand-over.
pub(crate) async fn start_with(limits: ServerLimits, deadline: Duration) -> Server {
    start_of(limits, deadline, Scripted::new(Script::say("Hello there."))).await
}

/// Starts a server with a hand-over and another provider.
pub(crate) async fn start_of<P>(limits: ServerLimits, deadline: Duration, provider: P) -> Server
where
    P: Provider + Sync,
{
    let (listener, addr) = bind().await;
    let store = Memory::new();
    let sessions = Sessions::builder(store.clone()).build();
    let chat = DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
        .client_fields(ClientFields::nothing().field("script"))
        .layer(provider);
    let (stop, stopped) = oneshot::channel();
    let server = serve(listener, mount(MOUNT, chat))
        .limits(limits)
        .hand_over(sessions.clone(), deadline)
        .with_graceful_shutdown(async { drop(stopped.await) });
    Server {
        addr,
        sessions,
        _other: Some(store),
        stop: Some(stop),
        task: tokio::spawn(server.into_future()),
    }
}

pub(crate) async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

impl Server {
    /// Sends the signal.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().expect("it runs").send(());
    }

    /// Drops the server.
    pub(crate) fn kill(&mut self) {
        self.task.abort();
    }

    /// Waits until the server has ended.
    pub(crate) async fn ended(&mut self) {
        let ended = tokio::time::timeout(SOON, &mut self.task).await;
        if let Err(error) = ended.expect("an end") {
            assert!(!error.is_panic(), "{error}");
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Creates a request with a script.
pub(crate) fn follow(script: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": "Hi"}], "script": script})
}

/// Creates a request whose provider never emits anything.
pub(crate) fn silence() -> Value {
    follow(&json!({"fault": {"at": 0, "kind": "hang"}}))
}

/// Waits until the condition holds.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    tokio::time::timeout(SOON, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("it comes to hold");
}
