//! A layer of counted tools whose answer is cut and goes on elsewhere.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use unbroken::{
    chat::{
        ChatEvent, ChatRequest, InputAnswer, InputAnswers, InputRequest, Message, Transcript, Usage,
    },
    tools::{Call, ToolLayer, Tools, tool_fn},
};

use crate::support::{Model, call, request, start};

pub(super) const SESSION: &str = "session-of-tools-00001";

#[derive(Deserialize, schemars::JsonSchema)]
struct Args {
    of: String,
}

/// The number of runs, and the idempotency keys, of each tool with each argument.
#[derive(Clone, Default)]
pub(super) struct RunCounter {
    pub(super) times: Arc<Mutex<HashMap<String, usize>>>,
    pub(super) keys: Arc<Mutex<HashMap<String, Vec<String>>>>,
}

impl RunCounter {
    pub(super) fn times(&self, what: &str) -> usize {
        self.times.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    pub(super) fn count(&self, call: &Call, of: &str) {
        let what = format!("{} {of}", call.tool());
        *self.times.lock().unwrap().entry(what.clone()).or_default() += 1;
        let mut keys = self.keys.lock().unwrap();
        let key = call.idempotency_key().to_owned();
        keys.entry(what).or_default().push(key);
    }

    /// `pay` and `allowed` must not run twice, `look` may.
    pub(super) fn tools(&self) -> Tools {
        let run = |runs: &Self| {
            let runs = runs.clone();
            move |args: Args, call: Call| {
                runs.count(&call, &args.of);
                async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok(format!("{} {}", call.tool(), args.of))
                }
            }
        };
        Tools::new()
            .with(tool_fn("pay", "", run(self)))
            .with(tool_fn("allowed", "", run(self)).approved("May I?"))
            .with(tool_fn("look", "", run(self)).idempotent())
    }
}

/// Three turns, each with text, five calls in all.
fn model() -> Model {
    let of = |id: &str, name: &str, of: &str| call(id, name, json!({"of": of}));
    Model::new([
        vec![
            ChatEvent::text("One. "),
            ChatEvent::tool_calls([of("1", "pay", "a"), of("2", "look", "a")]),
        ],
        vec![
            ChatEvent::text("Two. "),
            ChatEvent::tool_calls([
                of("1", "pay", "b"),
                of("2", "allowed", "a"),
                of("3", "pay", "a"),
            ]),
        ],
        vec![ChatEvent::text("Three. "), ChatEvent::text("Four.")],
    ])
}

pub(super) const NEVER_TWICE: [&str; 3] = ["pay b", "allowed a", "pay a"];

pub(super) struct Fixture {
    pub(super) layer: ToolLayer,
    pub(super) model: Model,
    pub(super) runs: RunCounter,
    pub(super) answers: InputAnswers,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let runs = RunCounter::default();
        Self {
            layer: ToolLayer::new(runs.tools()),
            model: model(),
            runs,
            answers: InputAnswers::new(),
        }
    }

    pub(super) fn request(&self) -> ChatRequest {
        let mut request = request();
        request.inputs = self.answers.inputs();
        request.session_id = Some(SESSION.parse().unwrap());
        request
    }

    /// Returns the request of a server that resumes after this log.
    pub(super) fn resumed(&self, log: &[ChatEvent]) -> ChatRequest {
        let mut request = self.request();
        let so_far: Transcript = log.iter().collect();
        if !so_far.text().is_empty() {
            request.messages.push(Message::assistant(so_far.text()));
        }
        request.so_far = Some(Arc::new(so_far));
        request.runs = Arc::new(log.iter().collect());
        request
    }

    pub(super) fn restarted(&self, log: &[ChatEvent]) -> ChatRequest {
        let mut request = self.request();
        request.runs = Arc::new(log.iter().collect());
        request
    }

    /// Reads this number of events, or all, and accepts every request for an approval. Also returns the
    /// number of events that are stored at least if the server dies then.
    pub(super) async fn read(&self, request: ChatRequest, most: usize) -> (Vec<ChatEvent>, usize) {
        let mut stream = start(&self.layer, &self.model, request).await;
        let (mut events, mut stored) = (Vec::new(), 0);
        while events.len() < most
            && let Some(event) = stream.next().await
        {
            let event = event.unwrap();
            if let ChatEvent::InputRequest(asked) = &event {
                self.allow(asked);
            }
            events.push(event);
            if events.last().unwrap().is_barrier() {
                stored = events.len();
            }
        }
        if events.len() < most {
            stored = events.len();
        }
        (events, stored)
    }

    pub(super) fn allow(&self, asked: &InputRequest) {
        let yes = InputAnswer::accept(Value::Null);
        // The next server asks again if the log lacks the resolution.
        let _ = self.answers.submit(asked.input_id.clone(), yes);
    }
}

pub(super) fn check(log: &[ChatEvent], what: &str) {
    assert_eq!(
        log.iter().filter(|it| it.is_terminal()).count(),
        1,
        "{what}"
    );
    assert_eq!(log.last().unwrap().kind(), "complete", "{what}");
    let transcript: Transcript = log.iter().collect();
    assert_eq!(transcript.text(), "One. Two. Three. Four.", "{what}");
    assert_eq!(transcript.tool_calls().len(), 5, "{what}");
    for call in transcript.tool_calls() {
        let results = transcript.tool_results().iter();
        let errors = transcript.tool_errors().iter();
        let outcomes = results.filter(|it| it.id == call.id).count()
            + errors.filter(|it| it.id == call.id).count();
        assert_eq!(outcomes, 1, "{what}: {}", call.id);
    }
    let all_but_the_end: Transcript = log[..log.len() - 1].iter().collect();
    assert_eq!(all_but_the_end.open_inputs().count(), 0, "{what}");
    // The last turn ends with the answer; the others have told theirs.
    let mut usage = all_but_the_end.usage().unwrap_or_default();
    usage += Usage::new(10, 2);
    assert_eq!(transcript.usage(), Some(usage), "{what}");
}
