use std::{
    cmp::Reverse,
    collections::VecDeque,
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    FaultKind, Script, ScriptFault,
    argument_pieces::argument_pieces,
    call_counter::{CallCounter, CountedCall},
    demo::DemoTurn,
    questions::AskSequence,
    script::{Say, bad},
    tokens::Tokens,
};
use crate::chat::{
    ChatEvent, ChatRequest, Complete, FinishReason, Message, ProviderError, Role, ToolCall,
    ToolInput, TurnEnd, TurnUsage, Usage,
};

type HoldFuture = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

const DEFAULT_DELAY: Duration = Duration::from_millis(40);

/// The stream of [`Scripted`](super::Scripted).
///
/// Time counts from the first poll, on the clock of the tokio runtime that polls it.
pub struct ScriptedStream {
    thinking: Tokens,
    text: Tokens,
    // The media and sources after the text.
    shown: VecDeque<ChatEvent>,
    asking: AskSequence,
    // The arguments of the calls, if they come before them.
    pieces: VecDeque<ToolInput>,
    model: Option<String>,
    tool_calls: Vec<ToolCall>,
    delay: Duration,
    // The holds that are left, the last first.
    holds: Vec<usize>,
    held: Option<HoldFuture>,
    fault: Option<ScriptFault>,
    said: usize,
    input_tokens: u64,
    // Where the usage is reported, if it is.
    turn_usage: Option<TurnUsage>,
    // A `Sleep` can only be made inside a runtime.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    counted: Option<CountedCall>,
    state: ScriptState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScriptState {
    Speaking,
    Showing,
    Questioning,
    Writing,
    Asking,
    Turning,
    Ending,
    Done,
}

/// The next step of a script.
enum TokenOrFault {
    Token,
    Fault(FaultKind),
    NoToken,
}

impl ScriptedStream {
    pub(super) fn new(
        script: Script,
        request: &ChatRequest,
        counter: &CallCounter,
    ) -> Result<Self, ProviderError> {
        request.check_continuation(true)?;
        let rounds = rounds(request);
        // Without scripts for later turns, tools are asked for once.
        let once = script.then.is_empty();
        let mut script = script.after(rounds);
        let say = script.say.unwrap_or_else(|| {
            let demo = DemoTurn::of(request);
            if script.tool_calls.is_empty() {
                script.tool_calls = demo.tool_calls;
            }
            if rounds > 0 {
                script.thinking = None; // it came before the first round
            }
            Say::Text(demo.text)
        });
        let mut thinking = Tokens::words(script.thinking.unwrap_or_default());
        let mut release = None;
        let mut text = match say {
            Say::Text(text) => Tokens::words(text),
            Say::Count(count) => Tokens::numbers(count),
            Say::Stamps(count) => Tokens::stamps(count),
            Say::Tally(name) => Tokens::one(counter.of(&name).to_string()),
            Say::Results => Tokens::words(results(request)),
            Say::Release(name) => {
                release = Some(name);
                Tokens::one("released".to_owned())
            }
        };
        let answered = |role| {
            request
                .messages
                .last()
                .is_some_and(|last| last.role == role)
        };
        let tool_calls = if once && answered(Role::Tool) {
            Vec::new()
        } else {
            script.tool_calls
        };
        let pieces = script.tool_input.then(|| argument_pieces(&tool_calls));
        let pieces = pieces.unwrap_or_default();
        let tokens = thinking.left() + text.left() + pieces.len();
        if script.fault.is_some_and(|fault| fault.at > tokens) {
            return Err(bad(&format!(
                "`fault.at` is past its end; it has {tokens} tokens"
            )));
        }
        if script.holds.iter().any(|at| *at > tokens) {
            return Err(bad(&format!(
                "one of `holds` is past its end; it has {tokens} tokens"
            )));
        }
        if !script.holds.is_empty() && script.tally.is_none() {
            return Err(bad("`holds` needs a `tally`, the name to be released by"));
        }
        let mut said = 0;
        let mut shown = (0, 0);
        if let Some(so_far) = &request.so_far {
            said += thinking.skip_bytes(so_far.thinking().len());
            said += text.skip_bytes(so_far.text().len());
            shown = (so_far.media().len(), so_far.sources().len());
        }
        let media = script.media.into_iter().skip(shown.0);
        let sources = script.sources.into_iter().skip(shown.1);
        let mut holds = script.holds;
        holds.retain(|at| *at >= said);
        holds.sort_unstable_by_key(|at| Reverse(*at));
        if let Some(name) = release {
            counter.release(&name);
        }
        let words = request
            .messages
            .iter()
            .map(|message| message.text().split_whitespace().count() as u64);
        let stream = Self {
            thinking,
            text,
            shown: media
                .map(ChatEvent::from)
                .chain(sources.map(ChatEvent::from))
                .collect(),
            asking: AskSequence::new(script.asks, request),
            pieces,
            model: script.model,
            tool_calls,
            delay: script.delay.unwrap_or(DEFAULT_DELAY),
            holds,
            held: None,
            fault: script.fault,
            said,
            input_tokens: words.sum(),
            turn_usage: script.usage_so_far.then(|| request.turn_usage.clone()),
            timer: None,
            waiting: false,
            counted: script.tally.map(|name| counter.call(&name)),
            state: ScriptState::Speaking,
        };
        stream.report_usage();
        Ok(stream)
    }

    fn poll_pace(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.delay.is_zero() {
            return Poll::Ready(());
        }
        let timer = match &mut self.timer {
            Some(timer) => {
                if !self.waiting {
                    timer.as_mut().reset(Instant::now() + self.delay);
                }
                timer
            }
            none => none.insert(Box::pin(sleep(self.delay))),
        };
        self.waiting = true;
        ready!(timer.as_mut().poll(cx));
        self.waiting = false;
        Poll::Ready(())
    }

    /// Waits for the next token: at the holds, and then for the pace, unless it is the one after the
    /// last.
    fn poll_token(&mut self, cx: &mut Context<'_>, is_last: bool) -> Poll<TokenOrFault> {
        ready!(self.poll_holds(cx));
        if let Some(fault) = self.fault.filter(|fault| fault.at == self.said) {
            return Poll::Ready(TokenOrFault::Fault(fault.kind));
        }
        if is_last {
            return Poll::Ready(TokenOrFault::NoToken);
        }
        ready!(self.poll_pace(cx));
        self.said += 1;
        self.report_usage();
        if let Some(counted) = &self.counted {
            counted.token();
        }
        Poll::Ready(TokenOrFault::Token)
    }

    /// Waits at the script's holds.
    fn poll_holds(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.holds.last() == Some(&self.said)
            && let Some(counted) = &self.counted
        {
            let held = self
                .held
                .get_or_insert_with(|| Box::pin(counted.released()));
            ready!(held.as_mut().poll(cx));
            self.held = None;
            self.holds.pop();
        }
        Poll::Ready(())
    }

    fn poll_fault(&mut self, kind: FaultKind) -> Poll<Option<Result<ChatEvent, ProviderError>>> {
        if kind == FaultKind::Hang {
            // Nothing wakes this task: that is the fault.
            return Poll::Pending;
        }
        self.state = ScriptState::Done;
        let said = self.said;
        Poll::Ready(Some(Err(match kind {
            FaultKind::Panic => panic!("the script wants a panic after {said} tokens"),
            FaultKind::Cut => {
                ProviderError::cut().with_source(io::Error::from(io::ErrorKind::UnexpectedEof))
            }
            FaultKind::Error | FaultKind::Hang => {
                ProviderError::new(format!("the script wants an error after {said} tokens"))
                    .recoverable(true)
            }
        })))
    }

    fn finish_reason(&self) -> FinishReason {
        if self.tool_calls.is_empty() {
            FinishReason::Stop
        } else {
            FinishReason::ToolCalls
        }
    }

    fn report_usage(&self) {
        if let Some(turn_usage) = &self.turn_usage {
            turn_usage.report(&self.usage());
        }
    }

    fn usage(&self) -> Usage {
        Usage::new(self.input_tokens, self.said as u64)
    }
}

/// Returns the number of rounds of tools since the user's last message.
fn rounds(request: &ChatRequest) -> usize {
    let since = request.messages.iter().rev();
    let since = since.take_while(|message| message.role != Role::User);
    since
        .filter(|message| !message.tool_calls.is_empty())
        .count()
}

fn results(request: &ChatRequest) -> String {
    let asks =
        |message: &Message| message.role == Role::Assistant && !message.tool_calls.is_empty();
    let Some(round) = request.messages.iter().rposition(asks) else {
        return String::new();
    };
    let results = request.messages[round + 1..].iter();
    let results = results.take_while(|message| message.role == Role::Tool);
    let results: Vec<_> = results.map(Message::text).collect();
    results.join(" ")
}

impl Stream for ScriptedStream {
    type Item = Result<ChatEvent, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.state == ScriptState::Speaking {
            let is_last = this.thinking.is_empty() && this.text.is_empty();
            match ready!(this.poll_token(cx, is_last)) {
                TokenOrFault::Token => {
                    let event = match this.thinking.next() {
                        Some(token) => Some(ChatEvent::thinking(token)),
                        None => this.text.next().map(ChatEvent::text),
                    };
                    return Poll::Ready(event.map(Ok));
                }
                TokenOrFault::Fault(kind) => return this.poll_fault(kind),
                TokenOrFault::NoToken => this.state = ScriptState::Showing,
            }
        }
        if this.state == ScriptState::Showing {
            if let Some(event) = this.shown.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            this.state = ScriptState::Questioning;
        }
        if this.state == ScriptState::Questioning {
            if let Some(event) = ready!(this.asking.poll_next(cx)) {
                return Poll::Ready(Some(Ok(event)));
            }
            this.state = ScriptState::Writing;
        }
        if this.state == ScriptState::Writing {
            match ready!(this.poll_token(cx, this.pieces.is_empty())) {
                TokenOrFault::Token => {
                    return Poll::Ready(this.pieces.pop_front().map(|it| Ok(it.into())));
                }
                TokenOrFault::Fault(kind) => return this.poll_fault(kind),
                TokenOrFault::NoToken => this.state = ScriptState::Asking,
            }
        }
        if this.state == ScriptState::Asking {
            this.state = ScriptState::Turning;
            if !this.tool_calls.is_empty() {
                let calls = this.tool_calls.iter().cloned();
                return Poll::Ready(Some(Ok(ChatEvent::tool_calls(calls))));
            }
        }
        if this.state == ScriptState::Turning {
            this.state = ScriptState::Ending;
            if let Some(model) = this.model.take() {
                let end = TurnEnd::new(this.finish_reason()).usage(this.usage());
                return Poll::Ready(Some(Ok(end.model(model).into())));
            }
        }
        if this.state == ScriptState::Ending {
            this.state = ScriptState::Done;
            let end = Complete::new().usage(this.usage());
            return Poll::Ready(Some(Ok(end.finish_reason(this.finish_reason()).into())));
        }
        Poll::Ready(None)
    }
}

impl fmt::Debug for ScriptedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedStream")
            .field("said", &self.said)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
