//! A model that follows a script, turn by turn, and tools that count their runs.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::{Value, json};
use tower::{Service, ServiceExt, layer::Layer};
use unbroken::{
    BoxError,
    chat::{
        ChatEvent, ChatRequest, Complete, EnabledTools, ProviderError, Role, ToolCall, Usage,
        provider_fn,
    },
    tools::{Call, ToolLayer, Tools, tool_fn},
};

pub(crate) type Answer = BoxStream<'static, Result<ChatEvent, ProviderError>>;

/// A model whose n-th turn after the user's last message is the n-th of these. The last one repeats.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    turns: Arc<Vec<Vec<ChatEvent>>>,
    pub(crate) asked: Arc<Mutex<Vec<ChatRequest>>>,
}

impl Model {
    pub(crate) fn new(turns: impl IntoIterator<Item = Vec<ChatEvent>>) -> Self {
        Self {
            turns: Arc::new(turns.into_iter().collect()),
            asked: Arc::default(),
        }
    }

    /// Asks for these calls, then answers `Done.`.
    pub(crate) fn calling(calls: impl IntoIterator<Item = ToolCall>) -> Self {
        let calls = ChatEvent::tool_calls(calls);
        Self::new([vec![calls], vec![ChatEvent::text("Done.")]])
    }

    pub(crate) fn provider(
        &self,
    ) -> impl Service<
        ChatRequest,
        Response = Answer,
        Error = std::convert::Infallible,
        Future: Send + 'static,
    > + Clone
    + Send
    + Sync
    + 'static {
        let model = self.clone();
        provider_fn(move |request| model.answer(request))
    }

    fn answer(&self, request: ChatRequest) -> Answer {
        let since = request.messages.iter().rev();
        let since = since.take_while(|message| message.role != Role::User);
        let rounds = since
            .filter(|message| !message.tool_calls.is_empty())
            .count();
        let turn = self.turns[rounds.min(self.turns.len() - 1)].clone();
        let mut skip = request.so_far.as_ref().map_or(0, |it| it.text().len());
        // Continues after the text so far.
        let turn = turn.into_iter().filter(move |event| match event {
            ChatEvent::Text(text) if skip > 0 => {
                skip -= text.content.len();
                false
            }
            _ => true,
        });
        let end = Complete::new().usage(Usage::new(10, 2)).into();
        self.asked.lock().unwrap().push(request);
        futures_util::stream::iter(turn.chain([end]).map(Ok)).boxed()
    }

    pub(crate) fn times(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Returns the last request.
    pub(crate) fn last(&self) -> ChatRequest {
        self.asked.lock().unwrap().last().unwrap().clone()
    }
}

pub(crate) fn request() -> ChatRequest {
    let mut request = ChatRequest::from_user("Hi");
    request.enabled_tools = Some(EnabledTools::All);
    request
}

pub(crate) fn call(id: &str, name: &str, arguments: Value) -> ToolCall {
    ToolCall::new(id, name, arguments)
}

/// An answer through the tools.
pub(crate) type Answered = BoxStream<'static, Result<ChatEvent, BoxError>>;

pub(crate) async fn start(layer: &ToolLayer, model: &Model, request: ChatRequest) -> Answered {
    let provider = layer.layer(model.provider());
    provider.oneshot(request).await.unwrap().boxed()
}

/// Returns the whole answer without the ends of its turns.
pub(crate) async fn answer(
    layer: &ToolLayer,
    model: &Model,
    request: ChatRequest,
) -> Result<Vec<ChatEvent>, BoxError> {
    let mut events = answer_with_turns(layer, model, request).await?;
    events.retain(|event| !matches!(event, ChatEvent::Turn(_)));
    Ok(events)
}

/// Returns the whole answer.
pub(crate) async fn answer_with_turns(
    layer: &ToolLayer,
    model: &Model,
    request: ChatRequest,
) -> Result<Vec<ChatEvent>, BoxError> {
    let stream = start(layer, model, request).await;
    let events: Vec<_> = stream.collect().await;
    events.into_iter().collect()
}

/// Returns the types of events.
pub(crate) fn kinds(events: &[ChatEvent]) -> Vec<&str> {
    events.iter().map(ChatEvent::kind).collect()
}

#[derive(Deserialize, schemars::JsonSchema)]
pub(crate) struct Wait {
    /// The duration of the call, in seconds.
    pub(crate) seconds: u64,
}

/// Tools that wait, fail and panic, and count the runs that started and those that were dropped.
#[derive(Clone, Default)]
pub(crate) struct Counted {
    pub(crate) started: Arc<AtomicUsize>,
    pub(crate) dropped: Arc<AtomicUsize>,
}

/// Counts its drop.
pub(crate) struct DropCounter(pub(crate) Arc<AtomicUsize>);

impl Drop for DropCounter {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Counted {
    pub(crate) fn started(&self) -> usize {
        self.started.load(SeqCst)
    }

    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(SeqCst)
    }

    pub(crate) fn tools(&self) -> Tools {
        let count = |counted: &Self| {
            counted.started.fetch_add(1, SeqCst);
            DropCounter(Arc::clone(&counted.dropped))
        };
        let (wait, panic, fail) = (self.clone(), self.clone(), self.clone());
        Tools::new()
            .with(tool_fn("wait", "Waits.", move |args: Wait, _: Call| {
                let counter = count(&wait);
                async move {
                    let _counter = counter;
                    tokio::time::sleep(Duration::from_secs(args.seconds)).await;
                    Ok(json!({"waited": args.seconds}))
                }
            }))
            .with(tool_fn("panic", "Panics.", move |_: Nothing, _: Call| {
                let counter = count(&panic);
                async move {
                    let _counter = counter;
                    let wanted = true;
                    assert!(!wanted, "the test wants it");
                    Ok(())
                }
            }))
            .with(tool_fn("fail", "Fails.", move |_: Nothing, _: Call| {
                let counter = count(&fail);
                async move {
                    let _counter = counter;
                    Err::<(), _>("postgres://secret@10.0.0.7 is gone".into())
                }
            }))
    }
}

#[derive(Deserialize, schemars::JsonSchema)]
pub(crate) struct Nothing {}

/// Waits at most 50 ms until this number of runs was dropped.
pub(crate) async fn wait_for_drops(counted: &Counted, runs: usize) {
    let all = async {
        while counted.dropped() < runs {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let dropped = tokio::time::timeout(Duration::from_millis(50), all).await;
    dropped.expect("running tools are dropped at once");
}
