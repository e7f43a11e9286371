//! A model of the other server: sends given events, and waits where a test wants it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::Router;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    chat::{ChatEvent, ChatRequest, Provider, ProviderError, Role, provider_fn},
    durable::{ClientFields, DurableLayer, Recovery},
    session::Sessions,
};

#[derive(Clone)]
pub(crate) struct GatedModel {
    /// The events of each call of the model since the user's last message.
    turns: Arc<Vec<Vec<ChatEvent>>>,
    /// The number of events that may be sent, in all calls together.
    gate: watch::Sender<usize>,
    sent: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
    dropped: watch::Sender<usize>,
    requests: Arc<Mutex<Vec<ChatRequest>>>,
}

struct CountDrop(watch::Sender<usize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count += 1);
    }
}

impl GatedModel {
    /// Creates a model that sends all of these events.
    pub(crate) fn new(events: Vec<ChatEvent>) -> Self {
        Self::in_turns(vec![events])
    }

    /// Creates a model that sends these, a list for each round of tools.
    pub(crate) fn in_turns(turns: Vec<Vec<ChatEvent>>) -> Self {
        Self {
            sent: Arc::default(),
            gate: watch::Sender::new(usize::MAX),
            turns: Arc::new(turns),
            calls: Arc::default(),
            dropped: watch::Sender::new(0),
            requests: Arc::default(),
        }
    }

    /// Sets the number of events that may be sent.
    pub(crate) fn open(&self, events: usize) {
        self.gate.send_replace(events);
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn requests(&self) -> Vec<ChatRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns once so many streams were dropped.
    pub(crate) async fn when_dropped(&self, streams: usize) {
        let mut dropped = self.dropped.subscribe();
        dropped.wait_for(|count| *count >= streams).await.unwrap();
    }

    pub(crate) fn dropped(&self) -> usize {
        *self.dropped.borrow()
    }

    pub(crate) fn provider(&self) -> impl Provider + Sync + use<> {
        let model = self.clone();
        provider_fn(move |request| model.answer(request))
    }

    fn answer(
        &self,
        request: ChatRequest,
    ) -> impl Stream<Item = Result<ChatEvent, ProviderError>> + Send + use<> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let since = request.messages.iter().rev();
        let since = since.take_while(|message| message.role != Role::User);
        let round = since
            .filter(|message| !message.tool_calls.is_empty())
            .count();
        self.requests.lock().unwrap().push(request);
        let sent = Arc::clone(&self.sent);
        let guard = CountDrop(self.dropped.clone());
        let gate = self.gate.subscribe();
        let events = self.turns[round.min(self.turns.len() - 1)].clone();
        stream::unfold((0, gate, guard), move |(at, mut gate, guard)| {
            let event = events.get(at).cloned();
            let sent = Arc::clone(&sent);
            async move {
                let event = event?;
                gate.wait_for(|open| *open > sent.load(Ordering::Relaxed))
                    .await
                    .ok()?;
                sent.fetch_add(1, Ordering::Relaxed);
                // Each a batch of its own.
                tokio::task::yield_now().await;
                Some((Ok(event), (at + 1, gate, guard)))
            }
        })
        .boxed()
    }
}

/// Returns a server of this provider, at the path of the tests.
pub(crate) fn mounted<P: Provider + Sync>(sessions: Sessions, provider: P) -> Router {
    mounted_with(sessions, provider, Recovery::new())
}

pub(crate) fn mounted_with<P: Provider + Sync>(
    sessions: Sessions,
    provider: P,
    recovery: Recovery,
) -> Router {
    let fields = ClientFields::nothing()
        .history(100_000)
        .client_tools(10, 10_000)
        .temperature(0.0..=1.0)
        .system_prompt();
    let chat = DurableLayer::new(sessions, AnyoneWithTheId::new())
        .client_fields(fields)
        .secret_chat_ids()
        .recovery(recovery)
        .layer(provider);
    Router::new().nest_service("/api/chat", chat)
}
