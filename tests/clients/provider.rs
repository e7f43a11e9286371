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

/// The scripted provider, which also
///
/// * says `events` word for word, and waits for what is said to those that ask; one that is
///   `unanswered` waits at its `answered` only,
/// * waits at a `gate: { name, at }`, before so many events, until `POST /gate/{name}` opens it,
/// * answers what a tool gave: a script that asks for a tool asks once,
/// * looks for all these in `forwardedProps` too, where clients of AG-UI put what is theirs.
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
        if let Some(given) = last.filter(|message| message.role == Role::Tool) {
            let delay = request.extra.get("script").and_then(|it| it.get("delayMs"));
            let script = json!({
                "text": format!("The tool gave {}, and that is all there is to say.", given.content),
                "delayMs": delay.cloned().unwrap_or_else(|| 5.into()),
            });
            request.extra.insert("script".into(), script);
        }
        let gate = request.extra.remove("gate").map(Gate::deserialize);
        let events = match request.extra.remove("events") {
            Some(Value::Array(events)) => Ok(said(events, request.inputs)),
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

/// The events, one after the other. One that asks for an approval waits for what is said to it, and
/// nothing follows a no but that the call failed.
fn said(events: Vec<Value>, inputs: Inputs) -> Events {
    let said = stream::iter(events).then(move |event| {
        let inputs = inputs.clone();
        async move {
            if event["type"] == "answered" {
                let id = InputId::deserialize(&event["inputId"]);
                let id = id.map_err(|error| ProviderError::new(error.to_string()))?;
                let call = event["callId"].as_str().unwrap_or_default().to_owned();
                return Ok(answered(id, call, inputs));
            }
            let waits = event["unanswered"] != true;
            let event = ChatEvent::deserialize(event);
            let event = event.map_err(|error| ProviderError::new(error.to_string()))?;
            let answered = match &event {
                ChatEvent::InputRequest(request) if waits => {
                    let call = request.call_id.clone().unwrap_or_default();
                    answered(request.input_id.clone(), call, inputs)
                }
                _ => stream::empty().boxed(),
            };
            Ok(stream::iter([Ok(event)]).chain(answered).boxed())
        }
    });
    said.try_flatten().boxed()
}

fn answered(id: InputId, call: String, inputs: Inputs) -> Events {
    let answered = stream::once(async move {
        let answer = inputs.answer(&id).await.expect("nothing is closed");
        let mut events = vec![InputResolved::new(id, answer.action).into()];
        if answer.action != InputAction::Accept {
            events.push(ChatEvent::tool_error(call, "pay", "The user said no."));
        }
        stream::iter(events.into_iter().map(Ok))
    });
    answered.flatten().boxed()
}
