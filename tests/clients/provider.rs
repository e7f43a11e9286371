use std::{
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_service::Service;
use unbroken::{
    chat::{
        ChatEvent, ChatRequest, InputAction, InputId, InputResolved, Inputs, ProviderError, Role,
    },
    provider::Scripted,
};

use crate::gate::Gates;

/// The scripted provider with further fields of a request.
///
/// * `events` are sent unchanged. At a question the provider waits for its answer; at one with
///   `unanswered` it waits only at the event `answered`.
/// * `gate: { name, at }` makes it wait before event number `at` until `POST /gate/{name}` opens the gate.
/// * With `echo` it answers with the media of the last message, after a text with their names.
/// * After an output of a tool it answers with that output, so a script calls its tool once.
/// * All these fields may be in `forwardedProps` too, where AG-UI's clients put them.
#[derive(Clone)]
pub(crate) struct Scripts {
    scripted: Scripted,
    gates: Gates,
}

#[derive(Deserialize)]
struct Gate {
    name: String,
    at: usize,
}

type Events = Pin<Box<dyn Stream<Item = Result<ChatEvent, ProviderError>> + Send>>;

impl Scripts {
    pub(crate) fn new(gates: Gates) -> Self {
        Self {
            scripted: Scripted::default(),
            gates,
        }
    }

    fn gated(&self, gate: Gate, events: Events) -> Events {
        let gates = self.gates.clone();
        let held = events.enumerate().then(move |(at, event)| {
            let wait = (at == gate.at).then(|| (gates.clone(), gate.name.clone()));
            async move {
                if let Some((gates, name)) = wait {
                    gates.opened(&name).await;
                }
                event
            }
        });
        held.boxed()
    }
}

impl Service<ChatRequest> for Scripts {
    type Response = Events;
    type Error = ProviderError;
    type Future = Ready<Result<Events, ProviderError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: ChatRequest) -> Self::Future {
        if let Some(Value::Object(props)) = request.extra.remove("forwardedProps") {
            request.extra.extend(props);
        }
        let last = request.messages.last();
        if let Some(output) = last.filter(|message| message.role == Role::Tool) {
            let delay = request.extra.get("script").and_then(|it| it.get("delayMs"));
            let script = json!({
                "text": format!("The tool gave {}, and that is all there is to say.", output.text()),
                "delayMs": delay.cloned().unwrap_or_else(|| 5.into()),
            });
            request.extra.insert("script".into(), script);
        }
        let gate = request.extra.remove("gate").map(Gate::deserialize);
        let echoed = request.extra.remove("echo").map(|_| echo(&request));
        let events = match (echoed, request.extra.remove("events")) {
            (Some(events), _) => Ok(stream::iter(events).boxed()),
            (None, Some(Value::Array(events))) => Ok(scripted_events(events, request.inputs)),
            _ => self
                .scripted
                .call(request)
                .into_inner()
                .map(StreamExt::boxed),
        };
        ready(match gate {
            Some(Ok(gate)) => events.map(|events| self.gated(gate, events)),
            _ => events,
        })
    }
}

/// Returns the names of the media in the last message, and the media.
fn echo(request: &ChatRequest) -> Vec<Result<ChatEvent, ProviderError>> {
    let media = request.messages.iter().rev().take(1);
    let media = media.flat_map(|message| message.content.all_media());
    let media: Vec<_> = media.cloned().collect();
    let names = media.iter().filter_map(|media| media.name.as_deref());
    let names = ChatEvent::text(names.collect::<Vec<_>>().join(", "));
    let events = std::iter::once(names).chain(media.into_iter().map(ChatEvent::from));
    events.map(Ok).collect()
}

/// Returns the events in order. At a question the stream waits for the answer; a refused call fails.
fn scripted_events(events: Vec<Value>, inputs: Inputs) -> Events {
    let scripted = stream::iter(events).then(move |event| {
        let inputs = inputs.clone();
        async move {
            if event["type"] == "answered" {
                let id = InputId::deserialize(&event["inputId"]);
                let id = id.map_err(|error| ProviderError::new(error.to_string()))?;
                let call = event["callId"].as_str().unwrap_or_default().to_owned();
                return Ok(resolution(id, call, inputs));
            }
            let waits = event["unanswered"] != true;
            let event = ChatEvent::deserialize(event);
            let event = event.map_err(|error| ProviderError::new(error.to_string()))?;
            let resolution = match &event {
                ChatEvent::InputRequest(request) if waits => {
                    let call = request.call_id.clone().unwrap_or_default();
                    resolution(request.input_id.clone(), call, inputs)
                }
                _ => stream::empty().boxed(),
            };
            Ok(stream::iter([Ok(event)]).chain(resolution).boxed())
        }
    });
    scripted.try_flatten().boxed()
}

fn resolution(id: InputId, call: String, inputs: Inputs) -> Events {
    let events = stream::once(async move {
        let answer = inputs.answer(&id).await.expect("nothing is closed");
        let mut events = vec![InputResolved::new(id, answer.action).into()];
        if answer.action != InputAction::Accept {
            events.push(ChatEvent::tool_error(call, "pay", "The user said no."));
        }
        stream::iter(events.into_iter().map(Ok))
    });
    events.flatten().boxed()
}
