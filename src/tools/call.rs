use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Extensions;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Question, Unanswered, call_slots::CallSlot, clock::CallClock, events::EventSender};
use crate::{
    BoxError,
    chat::{
        Custom, Input, InputAction, InputAnswer, InputId, InputKind, InputOutcome, InputRequest,
        InputResolved, Inputs, ToolProgress,
    },
    log::{ChatId, Owner, SessionId},
};

/// One call of a tool: its arguments, the session that it serves, and its way to ask the user.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Call {
    inner: Arc<CallInner>,
}

struct CallInner {
    info: CallInfo,
    events: EventSender,
    slot: Arc<CallSlot>,
    clock: CallClock,
    asked: AskedBefore,
    asks: AtomicUsize,
}

/// The questions of a call from before the session was taken over.
#[derive(Default)]
pub(super) struct AskedBefore {
    pub(super) inputs: Vec<Input>,
    /// The number of those in this attempt. A restart dropped the others for clients, so that they are asked
    /// again, under their ids: an answer that was given meanwhile counts.
    pub(super) in_attempt: usize,
}

/// The identity of a call, and the scope that it runs in.
#[derive(Clone)]
pub(super) struct CallInfo {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Value,
    pub(super) key: String,
    pub(super) scope: Arc<CallScope>,
}

/// The scope that the tools of one answer share.
pub(super) struct CallScope {
    pub(super) session_id: Option<SessionId>,
    pub(super) owner: Option<Owner>,
    pub(super) chat_id: Option<ChatId>,
    pub(super) extensions: Extensions,
    pub(super) inputs: Inputs,
    pub(super) input_timeout: Duration,
}

impl Call {
    pub(super) fn new(
        info: CallInfo,
        events: EventSender,
        slot: Arc<CallSlot>,
        timeout: Duration,
        asked: AskedBefore,
    ) -> Self {
        Self {
            inner: Arc::new(CallInner {
                info,
                events,
                slot,
                clock: CallClock::new(timeout),
                asked,
                asks: AtomicUsize::new(0),
            }),
        }
    }

    /// Returns the id of the call, as in `tool_calls`. It is unique within a session.
    pub fn id(&self) -> &str {
        &self.inner.info.id
    }

    /// Returns the tool's name.
    pub fn tool(&self) -> &str {
        &self.inner.info.name
    }

    /// Returns the arguments.
    pub fn arguments(&self) -> &Value {
        &self.inner.info.arguments
    }

    /// Returns a key for services that act once per key. It is the same when the call is repeated
    /// after a crash, and differs for any other call. The second half of a tool has a key of its own, and
    /// under the durable layer it begins in one session only. Without a session the key is unique only
    /// within this answer.
    pub fn idempotency_key(&self) -> &str {
        &self.inner.info.key
    }

    /// Returns the session that the answer is for.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.inner.info.scope.session_id.as_ref()
    }

    /// Returns the owner of the session, as the application's access policy names it.
    pub fn owner(&self) -> Option<&Owner> {
        self.inner.info.scope.owner.as_ref()
    }

    /// Returns the conversation, as the client names it.
    pub fn chat_id(&self) -> Option<&ChatId> {
        self.inner.info.scope.chat_id.as_ref()
    }

    /// Returns the extensions that the layers above left on the HTTP request. Empty after a restart
    /// from the store.
    pub fn extensions(&self) -> &Extensions {
        &self.inner.info.scope.extensions
    }

    /// Reports the current step to clients. The report is dropped if the stream isn't read fast
    /// enough.
    pub fn progress(&self, message: impl Into<String>) {
        let progress = ToolProgress::new(self.id(), self.tool()).message(message);
        self.inner.events.try_send(progress);
    }

    /// Reports the amount that is done, and the total amount if it is known, in the tool's own
    /// units. The report is dropped if the stream isn't read fast enough, or if `done` is not
    /// finite.
    pub fn progress_of(&self, done: f64, total: Option<f64>) {
        let total = total.filter(|total| total.is_finite());
        if done.is_finite() {
            let progress = ToolProgress::new(self.id(), self.tool()).progress(done, total);
            self.inner.events.try_send(progress);
        }
    }

    /// Reports the current step together with the amount that is done, as
    /// [`progress_of`](Self::progress_of) does.
    pub fn progress_step(&self, message: impl Into<String>, done: f64, total: Option<f64>) {
        let total = total.filter(|total| total.is_finite());
        let mut progress = ToolProgress::new(self.id(), self.tool()).message(message);
        if done.is_finite() {
            progress = progress.progress(done, total);
        }
        self.inner.events.try_send(progress);
    }

    /// Adds an event of the application to the log. It is dropped once the answer has ended.
    pub async fn custom(&self, event: Custom) {
        let _ = self.inner.events.send(event).await;
    }

    /// Asks the user for permission. The timeout of the call is paused meanwhile, and other calls
    /// may [run](super::ToolLayer::parallel) in its slot.
    ///
    /// # Errors
    ///
    /// Unless the user accepts. Always once the answer has ended.
    pub async fn approve(&self, message: impl Into<String>) -> Result<(), Unanswered> {
        let asked = |id| InputRequest::approval(id, message.into());
        self.ask_outside_slot(asked, None, None).await.map(|_| ())
    }

    /// Asks the user a question. The answer fits the question's schema. The timeout of the call is
    /// paused meanwhile, and other calls may [run](super::ToolLayer::parallel) in its slot. Work
    /// that the tool does beside its question is not stopped.
    ///
    /// If the server dies and another repeats the call, the user doesn't answer questions from before again:
    /// their answers are returned for the same questions in the same order. While such a question
    /// is still open, the call keeps its slot. After a restart of the answer, the log has such questions
    /// again, under the same ids.
    ///
    /// Dropping the future doesn't withdraw the question: the user may still answer it, until the
    /// tool is done. To wait for a shorter time, set the question's timeout.
    ///
    /// # Errors
    ///
    /// Unless the user answers.
    pub async fn ask(&self, question: Question) -> Result<Value, Unanswered> {
        let Question {
            message,
            schema,
            timeout,
        } = question;
        let asked = |id| InputRequest::question(id, message);
        self.ask_outside_slot(asked, schema, timeout).await
    }

    /// Asks the user for a `T`.
    ///
    /// # Errors
    ///
    /// [`Unanswered`] unless the user answers; an error of serde's if `T` refuses a value that fits
    /// its schema.
    pub async fn ask_for<T>(&self, message: impl Into<String>) -> Result<T, BoxError>
    where
        T: DeserializeOwned + schemars::JsonSchema,
    {
        let answer = self.ask(Question::of::<T>(message)).await?;
        Ok(serde_json::from_value(answer)?)
    }

    pub(super) fn clock(&self) -> &CallClock {
        &self.inner.clock
    }

    pub(super) fn slot(&self) -> &CallSlot {
        &self.inner.slot
    }

    /// Asks for the approval of a call that has no slot yet. `begun` is true if it may have begun on
    /// another server.
    pub(super) async fn may_begin(&self, message: String, begun: bool) -> Result<(), Unanswered> {
        let asked = |id| InputRequest::approval(id, message).before_call(!begun);
        self.wait(asked, None, None, false).await.map(|_| ())
    }

    /// Asks while the call runs: it gives its slot up until there is an answer, and then waits for
    /// a slot.
    async fn ask_outside_slot(
        &self,
        asked: impl FnOnce(InputId) -> InputRequest,
        schema: Option<Value>,
        timeout: Option<Duration>,
    ) -> Result<Value, Unanswered> {
        let _pause = self.inner.clock.pause();
        let asks = self.inner.slot.ask();
        let answer = self.wait(asked, schema, timeout, true).await;
        if asks.end().await {
            answer
        } else {
            Err(Unanswered::Cancelled)
        }
    }

    /// Sends the begin of the call, with whether another server may repeat it, and waits until it is
    /// in the log. Returns false if the call must not begin.
    pub(super) async fn begin(&self, repeatable: bool) -> bool {
        let begun = ToolProgress::new(self.id(), self.tool()).repeatable(repeatable);
        self.inner.events.send(begun).await
    }

    async fn wait(
        &self,
        asked: impl FnOnce(InputId) -> InputRequest,
        schema: Option<Value>,
        timeout: Option<Duration>,
        begun: bool,
    ) -> Result<Value, Unanswered> {
        let CallInfo {
            id,
            name,
            arguments,
            scope,
            ..
        } = &self.inner.info;
        let timeout = timeout.unwrap_or(scope.input_timeout);
        let mut request = asked(InputId::random()).tool_call(id, name, arguments.clone());
        request.schema = schema;
        request.timeout = Some(timeout);

        let nth = self.inner.asks.fetch_add(1, Ordering::Relaxed);
        let AskedBefore { inputs, in_attempt } = &self.inner.asked;
        let before = inputs.get(nth);
        let before = before.filter(|before| is_same(&before.request, &request));
        let is_asked = before.is_some() && nth < *in_attempt;
        let known = before.and_then(|before| before.outcome.clone());
        if let Some(before) = before {
            request.input_id = before.request.input_id.clone();
        }
        if !is_asked && !self.inner.events.send(request.clone()).await {
            return Err(Unanswered::Cancelled);
        }
        let is_resolved = is_asked && known.is_some();

        let (outcome, answer) = match known {
            Some(InputOutcome::Accept) if request.kind == InputKind::Approval => {
                (InputOutcome::Accept, Ok(Value::Null))
            }
            Some(InputOutcome::Decline) => (InputOutcome::Decline, Err(Unanswered::Declined)),
            Some(InputOutcome::Timeout) => (InputOutcome::Timeout, Err(Unanswered::TimedOut)),
            Some(InputOutcome::Accept) | None => {
                // A call that has begun keeps its slot: no event would tell that it is free.
                if is_asked && !is_resolved && !begun {
                    self.inner.slot.release();
                }
                let answer = scope.inputs.answer_within(&request.input_id, timeout);
                judge(&request, answer.await)
            }
            Some(other) => (other, Err(Unanswered::Cancelled)),
        };
        if !is_resolved {
            let resolved = InputResolved::new(request.input_id, outcome);
            if !self.inner.events.send(resolved).await {
                return Err(Unanswered::Cancelled);
            }
        }
        answer
    }
}

// Checks the answer again: the layer that received it may have done so without the schema.
fn judge(
    request: &InputRequest,
    answer: Option<InputAnswer>,
) -> (InputOutcome, Result<Value, Unanswered>) {
    match answer {
        None => (InputOutcome::Timeout, Err(Unanswered::TimedOut)),
        Some(answer) if request.check(&answer).is_err() => {
            (InputOutcome::Cancel, Err(Unanswered::Cancelled))
        }
        Some(answer) => (
            answer.action.into(),
            match answer.action {
                InputAction::Accept => Ok(answer.content),
                InputAction::Decline => Err(Unanswered::Declined),
                InputAction::Cancel => Err(Unanswered::Cancelled),
            },
        ),
    }
}

// Ids and timeouts may differ.
fn is_same(before: &InputRequest, now: &InputRequest) -> bool {
    before.kind == now.kind && before.message == now.message && before.schema == now.schema
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id())
            .field("tool", &self.tool())
            .finish_non_exhaustive()
    }
}
