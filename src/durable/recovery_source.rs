use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tower_service::Service;

use super::{
    ProviderSource, RecoveryWay, answer_check::DefaultFormat, answer_usage::AnswerUsage,
    format::terminal_event,
};
use crate::{
    chat::{ChatEvent, ChatRequest, ErrorEvent, Message, Provider, ToolRuns, Transcript, Usage},
    log::{Ending, ErrorCode, Outcome},
    session::{Mark, Source},
};

/// The reason in the `restarted` event.
const RESTARTED: &str = "The server stopped in the middle of the answer; it begins anew.";

/// An interrupted answer, to be continued.
pub(super) struct InterruptedAnswer {
    /// The request to the provider.
    pub(super) request: ChatRequest,
    /// The answer so far.
    pub(super) transcript: Arc<Transcript>,
    /// All runs of the tools, also those before a restart.
    pub(super) runs: Arc<ToolRuns>,
    /// The reason why the session's clients can't drop what they have.
    pub(super) restart_obstacle: Option<&'static str>,
}

/// The settings of the sources of all ways.
#[derive(Clone)]
pub(super) struct SourceSettings {
    pub(super) event_bytes: usize,
    pub(super) session_bytes: u64,
    pub(super) default_format: DefaultFormat,
    /// True if the seams of resumed answers are checked.
    pub(super) check_seam: bool,
}

/// The [`Source`] of the rest of an interrupted answer: tries the ways in order until the provider doesn't decline
/// one.
///
/// A way that is declined leaves no record. The last one leaves the terminal error, with all reasons.
pub(super) struct RecoverySource<S>
where
    S: Service<ChatRequest>,
{
    /// `None` once the last way is tried.
    untried: Option<Untried<S>>,
    current: Option<(RecoveryWay, Pin<Box<ProviderSource<S>>>)>,
    declined: Vec<(RecoveryWay, String)>,
    /// True before each call of the provider, which needs a running lease.
    at_gate: bool,
    /// True once the provider has sent its first event.
    begun: bool,
    /// Of the turns that are over.
    usage: Option<Usage>,
    /// True if a question is open, to be answered yet.
    asks: bool,
}

/// The most characters of a reason in the final error.
const MAX_REASON: usize = 200;

struct Untried<S> {
    provider: S,
    answer: InterruptedAnswer,
    ways: VecDeque<RecoveryWay>,
    settings: SourceSettings,
}

impl<S> RecoverySource<S>
where
    S: Provider,
{
    /// Creates a source that tries these ways.
    pub(super) fn new(
        provider: S,
        answer: InterruptedAnswer,
        ways: Vec<RecoveryWay>,
        settings: SourceSettings,
    ) -> Self {
        let asks = answer.transcript.open_inputs().next().is_some();
        let mut this = Self {
            usage: answer.transcript.usage(),
            asks,
            at_gate: true,
            begun: false,
            untried: Some(Untried {
                provider,
                answer,
                ways: ways.into(),
                settings,
            }),
            current: None,
            declined: Vec::new(),
        };
        this.try_next();
        this
    }

    /// Begins the next way. Leaves `current` empty if none is left.
    fn try_next(&mut self) {
        self.current = None;
        self.at_gate = true;
        while let Some(mut untried) = self.untried.take()
            && let Some(way) = untried.ways.pop_front()
        {
            let source = untried.source(way);
            if !untried.ways.is_empty() {
                self.untried = Some(untried);
            }
            match source {
                Ok(source) => {
                    self.current = Some((way, Box::pin(source)));
                    return;
                }
                Err(reason) => self.decline(way, reason),
            }
        }
    }

    /// Keeps and traces the reason why a way was declined.
    fn decline(&mut self, way: RecoveryWay, reason: &str) {
        tracing::info!(%way, reason, "a way to continue an interrupted answer was declined");
        let reason = reason.chars().take(MAX_REASON).collect();
        self.declined.push((way, reason));
    }

    fn failure(&mut self) -> ChatEvent {
        let tried = self.declined.iter();
        let tried: Vec<_> = tried
            .map(|(way, reason)| format!("{way}: {reason}"))
            .collect();
        let message = format!(
            "The server stopped before the answer was done, and it could not be continued ({}). Try again.",
            tried.join("; ")
        );
        let mut event = ErrorEvent::new(ErrorCode::Interrupted, message).recoverable(true);
        event.usage = self.usage.take();
        event.into()
    }
}

impl<S> Untried<S>
where
    S: Provider,
{
    /// Makes the source of a way, or returns the reason why the way is out of the question.
    fn source(&self, way: RecoveryWay) -> Result<ProviderSource<S>, &'static str> {
        let InterruptedAnswer {
            transcript, runs, ..
        } = &self.answer;
        let mut request = self.answer.request.clone();
        request.runs = runs.clone();
        let mut first = None;
        match way {
            RecoveryWay::Reattach => {
                if transcript.stream_state().is_none() && !transcript.is_between_turns() {
                    return Err("the provider left nothing to read on from");
                }
                request.so_far = Some(transcript.clone());
                request.reattach = true;
            }
            RecoveryWay::Resume => {
                // Without the tool calls: no model takes those without their results.
                if !transcript.text().is_empty() {
                    request.messages.push(Message::assistant(transcript.said()));
                }
                request.so_far = Some(transcript.clone());
                request.check_seam = self.settings.check_seam;
            }
            RecoveryWay::Restart => {
                if let Some(reason) = self.answer.restart_obstacle {
                    return Err(reason);
                }
                let restarted = ChatEvent::restarted(RESTARTED);
                let mut runs = ToolRuns::clone(runs);
                runs.push(&restarted);
                request.runs = Arc::new(runs);
                first = Some(restarted);
            }
        }
        let (provider, settings) = (self.provider.clone(), &self.settings);
        let source = ProviderSource::in_format(provider, request, &settings.default_format)
            .event_bytes(settings.event_bytes)
            .session_bytes(settings.session_bytes)
            .ends_if_declined();
        Ok(match first {
            Some(restarted) => source.restarted(restarted, transcript.usage()),
            None => source,
        })
    }
}

impl<S> Source for RecoverySource<S>
where
    S: Provider,
{
    fn poll_record(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
    ) -> Poll<Option<Mark>> {
        let this = self.get_mut();
        let Some((way, source)) = &mut this.current else {
            this.failure().write_json(out);
            let outcome = Outcome::Error(ErrorCode::Interrupted);
            return Poll::Ready(Some(Mark::Terminal(outcome)));
        };
        let way = *way;
        if std::mem::take(&mut this.at_gate) {
            let waiting = this.asks && way != RecoveryWay::Restart;
            return Poll::Ready(Some(Mark::Gate { waiting }));
        }
        let mark = ready!(source.as_mut().poll_record(cx, out));
        if mark.is_none()
            && let Some(reason) = source.as_mut().take_declined()
        {
            this.decline(way, &reason);
            this.try_next();
            return Pin::new(this).poll_record(cx, out);
        }
        if !std::mem::replace(&mut this.begun, true) {
            this.untried = None;
            tracing::info!(%way, "an interrupted answer goes on");
        }
        Poll::Ready(mark)
    }

    fn silence(&self) -> Option<Duration> {
        let (_, source) = self.current.as_ref()?;
        source.silence()
    }

    fn end(&self) {
        if let Some((_, source)) = &self.current {
            source.end();
        }
    }

    fn ending(&self, ending: &Ending) -> Option<Bytes> {
        if let Some((_, source)) = &self.current {
            return source.ending(ending);
        }
        let mut usage = AnswerUsage::after(None);
        usage.replaces(Some(self.usage.clone()?));
        Some(usage.apply(terminal_event(ending)).to_json().freeze())
    }
}

// The source in it is pinned by its box.
impl<S> Unpin for RecoverySource<S> where S: Service<ChatRequest> {}

impl<S> fmt::Debug for RecoverySource<S>
where
    S: Service<ChatRequest>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoverySource")
            .field("current", &self.current.as_ref().map(|(way, _)| way))
            .field("declined", &self.declined)
            .finish_non_exhaustive()
    }
}
