//! A server of the application, or of a router with another order of layers.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use axum_existing::{
    App, chat,
    layers::{Settings, app},
    notes,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use unbroken::{
    durable::ClientFields,
    provider::{Scripted, scripted::Script},
    session::Sessions,
};

use crate::client::{Answer, Call, With, call, get, post, try_send};

pub(crate) const CHAT: &str = "/api/chat";
pub(crate) const NOTES: &str = "/api/notes";

/// The time limit of handlers in these tests.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(100);

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn of(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, task }
    }

    /// Serves the application.
    pub(crate) async fn app() -> Self {
        Self::with(Router::new()).await
    }

    /// Serves the application with further routes.
    pub(crate) async fn with(further: Router<App>) -> Self {
        let state = App::demo();
        let own = notes::routes().merge(further);
        Self::of(app(own, routes(&state), state, &settings())).await
    }

    pub(crate) async fn send(&self, call: Call) -> Answer {
        try_send(self.addr, call).await.unwrap()
    }

    /// Starts an answer as Ann.
    pub(crate) async fn ask(&self, script: &Value) -> Answer {
        let answer = self.send(ask(script).by("ann")).await;
        assert_eq!(answer.status(), 200);
        answer
    }

    /// Reads an answer as Ann.
    pub(crate) async fn read(&self, id: &str, query: &str) -> Answer {
        self.send(get(&format!("{CHAT}/{id}{query}")).by("ann"))
            .await
    }

    pub(crate) async fn abort(&self, id: &str) {
        let abort = call("POST", &format!("{CHAT}/{id}/abort")).by("ann");
        assert_eq!(self.send(abort).await.status(), 202);
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        timeout: TIMEOUT,
        ..Settings::default()
    }
}

/// Returns the chat with a provider that follows the script of a request.
pub(crate) fn routes(state: &App) -> Router {
    let open = ClientFields::nothing().field("script");
    let provider = Scripted::new(Script::say("Hello there.").delay(Duration::ZERO));
    chat::routes(Sessions::in_memory(), state.clone(), open, provider)
}

/// Returns a request that starts an answer, without a user.
pub(crate) fn ask(script: &Value) -> Call {
    let question = json!([{"role": "user", "content": "Hi"}]);
    post(CHAT, &json!({"messages": question, "script": script}))
}

/// Returns a script of a number of tokens after which the provider is silent.
pub(crate) fn silent_after(tokens: usize) -> Value {
    json!({"tokens": tokens, "delayMs": 0, "fault": {"at": tokens, "kind": "hang"}})
}

/// Returns a script that takes five times the time limit of a handler.
pub(crate) fn longer_than_the_timeout() -> Value {
    json!({"tokens": 5, "delayMs": 100})
}
