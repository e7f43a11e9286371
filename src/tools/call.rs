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

/// One call of a tool: for whom it runs, and how it talks to people meanwhile.
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
    // The questions of this call that the log has from before the session was taken over.
    asked: Vec<Input>,
    asks: AtomicUsize,
}

/// What a call is, and whom it scope.
#[derive(Clone)]
pub(super) struct CallInfo {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: Value,
    pub(super) key: String,
    pub(super) scope: Arc<CallScope>,
}

/// Whom the tools of one answer serve.
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
        asked: Vec<Input>,
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

    /// Its id, as in `tool_calls`. Within a session no other call has it.
    pub fn id(&self) -> &str {
        &self.inner.info.id
    }

    /// The tool's name.
    pub fn tool(&self) -> &str {
        &self.inner.info.name
    }

    /// What the model called it with.
    pub fn arguments(&self) -> &Value {
        &self.inner.info.arguments
    }

    /// Names what this call does, for services that do a thing once for each key: the same when the
    /// call is made again after a crash, another for any other call. Without a session it is of use
    /// only within this answer.
    pub fn idempotency_key(&self) -> &str {
        &self.inner.info.key
    }

    /// The session that the answer is for.
    pub fn session_id(&self) -> Option<&SessionId> {
        self.inner.info.scope.session_id.as_ref()
    }

    /// Whom the session belongs to, as the application's access policy names them.
    pub fn owner(&self) -> Option<&Owner> {
        self.inner.info.scope.owner.as_ref()
    }

    /// The conversation's name, as the client gave it.
    pub fn chat_id(&self) -> Option<&ChatId> {
        self.inner.info.scope.chat_id.as_ref()
    }

    /// What the layers above left on the HTTP request. Absent after a restart from the store.
    pub fn extensions(&self) -> &Extensions {
        &self.inner.info.scope.extensions
    }

    /// Tells clients what the tool does now. Left out where nobody takes it fast enough.
    pub fn progress(&self, message: impl Into<String>) {
        let progress = ToolProgress::new(self.id(), self.tool()).message(message);
        self.inner.events.try_send(progress);
    }

    /// Tells clients how much is done, of how much in all where that is known, in units of the
    /// tool's own. Left out where nobody takes it fast enough, and where it is no number.
    pub fn progress_of(&self, done: f64, total: Option<f64>) {
        let total = total.filter(|total| total.is_finite());
        if done.is_finite() {
            let progress = ToolProgress::new(self.id(), self.tool()).progress(done, total);
            self.inner.events.try_send(progress);
        }
    }

    /// Puts an event of the application's own into the log. Left out once the answer has ended.
    pub async fn custom(&self, event: Custom) {
        let _ = self.inner.events.send(event).await;
    }

    /// Asks a person whether something may be done. The timeout of the call stands still meanwhile,
    /// and others [run](super::ToolLayer::parallel) in its place.
    ///
    /// # Errors
    ///
    /// Unless they accept. Once the answer has ended nobody can.
    pub async fn approve(&self, message: impl Into<String>) -> Result<(), Unanswered> {
        let asked = |id| InputRequest::approval(id, message.into());
        self.ask_outside_slot(asked, None, None).await.map(|_| ())
    }

    /// Asks a person something. The answer fits the question's schema. The timeout of the call stands
    /// still meanwhile, and others [run](super::ToolLayer::parallel) in its place; what the tool does
    /// beside its question nobody stops.
    ///
    /// If the server dies and another makes the call again, the questions that were asked by then
    /// aren't asked again: their answers are given to the same questions in the same order. At one that
    /// is still open then, the call keeps its place: others wait for it.
    ///
    /// Dropping the future doesn't take the question back: people see it, and may answer it, until the
    /// tool is done. To wait for less long, say so in the question.
    ///
    /// # Errors
    ///
    /// Unless they answer.
    pub async fn ask(&self, question: Question) -> Result<Value, Unanswered> {
        let Question {
            message,
            schema,
            timeout,
        } = question;
        let asked = |id| InputRequest::question(id, message);
        self.ask_outside_slot(asked, schema, timeout).await
    }

    /// Asks a person for a `T`.
    ///
    /// # Errors
    ///
    /// [`Unanswered`] unless they answer; an error of serde's if `T` refuses what fits its schema.
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

    /// Asks for the approval of a call that has no place yet.
    pub(super) async fn may_begin(&self, message: String) -> Result<(), Unanswered> {
        let asked = |id| InputRequest::approval(id, message);
        self.wait(asked, None, None, false).await.map(|_| ())
    }

    /// Asks in the middle of a run: the place is somebody else's until there is an answer, and a place.
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

    /// Says that it begins, and returns when the log has that; false if it is not to begin.
    pub(super) async fn begin(&self) -> bool {
        let begun = ToolProgress::new(self.id(), self.tool());
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
        let before = self.inner.asked.get(nth);
        let before = before.filter(|before| is_same(&before.request, &request));
        match before {
            Some(before) => {
                request.input_id = before.request.input_id.clone();
                match &before.outcome {
                    Some(InputOutcome::Accept) if request.kind == InputKind::Approval => {
                        return Ok(Value::Null);
                    }
                    // Without a word about it the place of a call that has begun is kept.
                    None if !begun => self.inner.slot.release(),
                    Some(InputOutcome::Accept) | None => {}
                    Some(InputOutcome::Decline) => return Err(Unanswered::Declined),
                    Some(InputOutcome::Timeout) => return Err(Unanswered::TimedOut),
                    Some(_) => return Err(Unanswered::Cancelled),
                }
            }
            None if self.inner.events.send(request.clone()).await => {}
            None => return Err(Unanswered::Cancelled),
        }
        let resolved = before.is_some_and(|before| before.outcome.is_some());

        let inputs = &scope.inputs;
        let answer = inputs.answer_within(&request.input_id, timeout).await;
        let (outcome, answer) = judge(&request, answer);
        if !resolved {
            let resolved = InputResolved::new(request.input_id, outcome);
            if !self.inner.events.send(resolved).await {
                return Err(Unanswered::Cancelled);
            }
        }
        answer
    }
}

// What the answer comes to. Whoever took it in has checked it, but may have done so without the
// schema.
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

// Whether it is the same question, but for its id and its patience.
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
