use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::{Id, JoinError, JoinSet},
};
use tracing::Instrument;

use super::{
    ToolFailure,
    call_slots::{CallSlot, CallSlots, SlotReady},
    config::ToolConfig,
    events::{EventSender, ToolEvent, event_channel},
    job::{CallOutcome, ToolJob},
    result_media::ResultMedia,
};
use crate::chat::{
    ChatEvent, InputId, InputOutcome, InputRequest, InputResolved, Message, ToolCall, ToolResult,
    is_deeper, json_bytes,
};

/// The calls of one turn, each on a task of its own. A limited number runs at once.
///
/// Dropping it aborts them. If something else ends their tasks, which is the end of the runtime, no event and
/// no outcome follows: the calls are then those of a server that was lost.
pub(super) struct RunningCalls {
    calls: Vec<CallRecord>,
    planned: Vec<(usize, ToolJob, SlotReady)>,
    tasks: JoinSet<CallOutcome>,
    call_of_task: HashMap<Id, usize>,
    slots: CallSlots,
    result_bytes: usize,
    media: ResultMedia,
    events: EventSender,
    received: mpsc::Receiver<ToolEvent>,
    // Alternates between ends and events, so that neither starves the other.
    ends_first: bool,
    // Of the event that was taken last: its tool continues at the next poll.
    taken: Option<oneshot::Sender<()>>,
    ready: VecDeque<ReadyEvent>,
    // The open questions, each with the id of its call.
    open_questions: Vec<(InputId, String)>,
    // True once a task was ended from outside.
    is_stopped: bool,
}

// An event, with the sender to notify when it is safe.
type ReadyEvent = (ChatEvent, Option<oneshot::Sender<()>>);

/// One call and its outcome.
pub(super) struct CallRecord {
    pub(super) id: String,
    pub(super) name: String,
    /// The message for the model; `None` while there is none, and for a call that was handed over.
    pub(super) message: Option<Message>,
    pub(super) handed_over: bool,
}

impl RunningCalls {
    pub(super) fn new(config: &ToolConfig) -> Self {
        let (events, received) = event_channel();
        Self {
            calls: Vec::new(),
            planned: Vec::new(),
            tasks: JoinSet::new(),
            call_of_task: HashMap::new(),
            slots: CallSlots::new(config.parallel),
            result_bytes: config.result_bytes,
            media: config.media.clone(),
            events,
            received,
            ends_first: false,
            taken: None,
            ready: VecDeque::new(),
            open_questions: Vec::new(),
            is_stopped: false,
        }
    }

    pub(super) fn events(&self) -> EventSender {
        self.events.clone()
    }

    /// Creates the slot of the call that is [added](Self::add) next.
    pub(super) fn slot(&self) -> Arc<CallSlot> {
        self.slots.slot(self.calls.len())
    }

    /// Adds an open question of a call that is in the log.
    pub(super) fn add_open_question(&mut self, request: &InputRequest) {
        if let Some(call) = &request.call_id {
            self.open_questions
                .push((request.input_id.clone(), call.clone()));
        }
    }

    /// Adds a call whose outcome is known.
    pub(super) fn add_known(&mut self, id: &str, name: &str, outcome: CallOutcome, in_log: bool) {
        let at = self.push(id, name);
        self.finish(at, outcome, in_log);
    }

    /// Adds a call that has to run.
    pub(super) fn add(&mut self, job: ToolJob) {
        let at = self.push(job.call.id(), job.call.tool());
        let slot_ready = self.slots.acquire(at);
        self.planned.push((at, job, slot_ready));
    }

    fn push(&mut self, id: &str, name: &str) -> usize {
        self.calls.push(CallRecord {
            id: id.to_owned(),
            name: name.to_owned(),
            message: None,
            handed_over: false,
        });
        self.calls.len() - 1
    }

    /// Returns the next event; `None` once every call has its outcome.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<ChatEvent>> {
        // The stream is polled again, so the event before is safe.
        if let Some(taken) = self.taken.take() {
            let _ = taken.send(());
        }
        loop {
            if self.is_stopped {
                return Poll::Pending;
            }
            if let Some((event, taken)) = self.ready.pop_front() {
                self.taken = taken;
                return Poll::Ready(Some(event));
            }
            for (at, job, slot_ready) in self.planned.drain(..) {
                let task = self.tasks.spawn(job.run(slot_ready).in_current_span());
                self.call_of_task.insert(task.id(), at);
            }
            self.slots.poll(cx);
            self.ends_first = !self.ends_first;
            if self.ends_first
                && let Poll::Ready(Some(done)) = self.tasks.poll_join_next_with_id(cx)
            {
                self.finish_task(done);
                continue;
            }
            if let Poll::Ready(Some(event)) = self.received.poll_recv(cx) {
                self.receive(event);
                continue;
            }
            match ready!(self.tasks.poll_join_next_with_id(cx)) {
                Some(done) => self.finish_task(done),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Returns all calls, in their order.
    pub(super) fn into_calls(self) -> Vec<CallRecord> {
        self.calls
    }

    fn finish_task(&mut self, done: Result<(Id, CallOutcome), JoinError>) {
        let (id, outcome) = match done {
            Ok(done) => done,
            Err(error) if error.is_cancelled() => {
                self.is_stopped = true;
                return;
            }
            Err(error) => {
                tracing::error!(%error, "a tool panicked");
                (error.id(), CallOutcome::Failed("the tool failed".into()))
            }
        };
        // Its events go before its end. Events that others send meanwhile can wait.
        for _ in 0..self.received.len() {
            if let Ok(event) = self.received.try_recv() {
                self.receive(event);
            }
        }
        let at = self
            .call_of_task
            .remove(&id)
            .expect("every task was given a call");
        self.slots.done(at);
        self.finish(at, outcome, false);
    }

    fn receive(&mut self, event: ToolEvent) {
        match &event.event {
            ChatEvent::InputRequest(request) => {
                self.add_open_question(request);
                let asks = |call: &CallRecord| Some(&call.id) == request.call_id.as_ref();
                if let Some(at) = self.calls.iter().position(asks) {
                    self.slots.release(at);
                }
            }
            ChatEvent::InputResolved(resolved) => {
                self.open_questions
                    .retain(|(id, _)| *id != resolved.input_id);
            }
            _ => {}
        }
        self.ready.push_back((event.event, Some(event.taken)));
    }

    /// Returns the message for the model about a result that can't be taken, if it can't. One without
    /// media becomes one text.
    fn refusal(&self, outcome: &mut CallOutcome) -> Option<String> {
        let bytes = match outcome {
            CallOutcome::Sent(content) | CallOutcome::Claimed(content) => json_bytes(content),
            CallOutcome::Given(content) => {
                if let Some(refusal) = self.media.refusal(content) {
                    return Some(refusal);
                }
                if content.all_media().next().is_none() {
                    *content = content.to_text().into_owned().into();
                }
                json_bytes(content)
            }
            CallOutcome::HandedOver(handoff) => {
                if is_deeper(&handoff.server_output, ToolCall::MAX_DEPTH) {
                    return Some("the result is nested deeper than this server takes".into());
                }
                json_bytes(&handoff.server_output)
            }
            CallOutcome::Failed(_) => 0,
        };
        let most = self.result_bytes;
        (bytes > most).then(|| {
            format!("the result has {bytes} bytes, which is larger than this server takes: {most}")
        })
    }

    fn finish(&mut self, at: usize, mut outcome: CallOutcome, in_log: bool) {
        // One that is in the log was taken.
        if !in_log && let Some(refusal) = self.refusal(&mut outcome) {
            outcome = CallOutcome::Failed(refusal);
        }
        let call = &mut self.calls[at];
        // Its open questions are withdrawn.
        for (id, _) in self.open_questions.extract_if(.., |(_, id)| *id == call.id) {
            let resolved = InputResolved::new(id, InputOutcome::Cancel);
            self.ready.push_back((resolved.into(), None));
        }
        let event = match outcome {
            CallOutcome::Given(content) | CallOutcome::Sent(content) => {
                call.message = Some(Message::tool(&call.id, content.clone()));
                ChatEvent::tool_result(&call.id, &call.name, content)
            }
            CallOutcome::Claimed(content) => {
                call.message = Some(Message::tool(&call.id, content.clone()));
                ToolResult::new(&call.id, &call.name, content)
                    .claimed(true)
                    .into()
            }
            CallOutcome::Failed(message) => {
                let message = ToolFailure::cut(message);
                call.message = Some(Message::tool_failed(&call.id, &message));
                ChatEvent::tool_error(&call.id, &call.name, message)
            }
            CallOutcome::HandedOver(handoff) => {
                call.handed_over = true;
                handoff.into()
            }
        };
        if !in_log {
            self.ready.push_back((event, None));
        }
    }
}

impl CallRecord {
    /// Returns the result that a client sends back.
    pub(super) fn result(&self) -> Option<ToolResult> {
        let message = self.message.as_ref()?;
        let content = message.content.clone();
        Some(ToolResult::new(&self.id, &self.name, content))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, time::Duration};

    use futures_util::FutureExt as _;
    use serde_json::json;

    use super::*;
    use crate::{
        chat::{Inputs, ToolProgress},
        tools::{
            Call, ToolLayer, Tools,
            call::{AskedBefore, CallInfo, CallScope},
            job::JobPart,
            tool_fn,
        },
    };

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Nothing {}

    fn config(parallel: usize) -> ToolConfig {
        ToolLayer::new(Tools::new())
            .parallel(parallel)
            .into_config()
    }

    /// Adds two calls of a tool.
    fn add_two(running: &mut RunningCalls, tools: &Tools) {
        let scope = Arc::new(CallScope {
            session_id: None,
            owner: None,
            chat_id: None,
            extensions: http::Extensions::new(),
            inputs: Inputs::default(),
            input_timeout: Duration::MAX,
        });
        for id in ["1", "2"] {
            let info = CallInfo {
                id: id.into(),
                name: "tool".into(),
                arguments: json!({}),
                key: id.into(),
                scope: Arc::clone(&scope),
            };
            running.add(ToolJob {
                entry: Arc::clone(tools.entries().next().unwrap()),
                call: Call::new(
                    info,
                    running.events(),
                    running.slot(),
                    Duration::MAX,
                    AskedBefore::default(),
                ),
                timeout: Duration::MAX,
                begun: false,
                approval: None,
                part: JobPart::Call,
            });
        }
    }

    #[tokio::test]
    async fn calls_whose_tasks_the_runtime_ends_have_no_outcome() {
        let mut running = RunningCalls::new(&config(2));
        let tool = tool_fn("tool", "", |_: Nothing, _: Call| {
            std::future::pending::<Result<&str, crate::BoxError>>()
        });
        add_two(&mut running, &Tools::new().with(tool));
        let mut next = pin!(poll_fn(|cx| running.poll(cx)));
        assert!(next.as_mut().now_or_never().is_none());
        running.tasks.abort_all();
        tokio::task::yield_now().await;
        let mut next = pin!(poll_fn(|cx| running.poll(cx)));
        for _ in 0..10 {
            assert!(next.as_mut().now_or_never().is_none());
        }
        assert!(running.calls.iter().all(|call| call.message.is_none()));
    }

    #[tokio::test]
    async fn a_tool_that_sends_without_pause_does_not_starve_other_calls() {
        let mut running = RunningCalls::new(&config(1));
        let tool = tool_fn("tool", "", |_: Nothing, _: Call| async { Ok("done") });
        add_two(&mut running, &Tools::new().with(tool));
        let events = running.events();
        let mut results = 0;
        for _ in 0..1000 {
            // More than the channel holds.
            for _ in 0..100 {
                events.try_send(ToolProgress::new("0", "talks").message("on it"));
            }
            let event = poll_fn(|cx| running.poll(cx)).await.unwrap();
            results += usize::from(event.kind() == "tool_result");
            if results == 2 {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{results} of 2 calls ended");
    }
}
