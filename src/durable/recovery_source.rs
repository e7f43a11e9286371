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

use super::{ProviderSource, RecoveryWay, answer_check::DefaultFormat};
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
    pub(super) transcript: Transcript,
    /// All runs of the tools, also those before a restart.
    pub(super) runs: ToolRuns,
}

/// The settings of the sources of all ways.
#[derive(Clone)]
pub(super) struct SourceSettings {
    pub(super) event_bytes: usize,
    pub(super) session_bytes: u64,
    pub(super) default_format: DefaultFormat,
    /// True if the dialect can express `restarted`.
    pub(super) can_restart: bool,
}

/// The [`Source`] of the rest of an interrupted answer: tries the ways in order until the provider doesn't decline
/// one.
///
/// A way that is declined leaves no record. The last one leaves the terminal error, with all reasons.
pub(super) struct RecoverySource<S>
where
    S: Service<ChatRequest>,
{
    /// `None` once the provider has begun.
    untried: Option<Untried<S>>,
    current: Option<(RecoveryWay, Pin<Box<ProviderSource<S>>>)>,
    declined: Vec<(RecoveryWay, String)>,
    /// Of the turns that are over.
    usage: Option<Usage>,
}

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
        let mut this = Self {
            usage: answer.transcript.usage(),
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
        let Some(untried) = &mut self.untried else {
            return;
        };
        while let Some(way) = untried.ways.pop_front() {
            match untried.source(way) {
                Ok(source) => {
                    self.current = Some((way, Box::pin(source)));
                    return;
                }
                Err(reason) => self.declined.push((way, decline(way, reason))),
            }
        }
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

/// Traces a way that was declined, and returns the reason.
fn decline(way: RecoveryWay, reason: impl Into<String>) -> String {
    let reason = reason.into();
    tracing::info!(%way, reason, "a way to continue an interrupted answer was declined");
    reason
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
        let mut runs = runs.clone();
        let mut first = None;
        match way {
            RecoveryWay::Reattach => {
                if transcript.stream_state().is_none() && !transcript.is_between_turns() {
                    return Err("the provider left nothing to read on from");
                }
                request.so_far = Some(Arc::new(transcript.clone()));
                request.reattach = true;
            }
            RecoveryWay::Resume => {
                // Without the tool calls: no model takes those without their results.
                if !transcript.text().is_empty() {
                    request.messages.push(Message::assistant(transcript.said()));
                }
                request.so_far = Some(Arc::new(transcript.clone()));
            }
            RecoveryWay::Restart => {
                if !self.settings.can_restart {
                    return Err("the session's clients can't be told to begin anew");
                }
                let restarted = ChatEvent::restarted(RESTARTED);
                runs.push(&restarted);
                first = Some(restarted);
            }
        }
        request.runs = Arc::new(runs);
        let (provider, settings) = (self.provider.clone(), &self.settings);
        let source = ProviderSource::in_format(provider, request, &settings.default_format)
            .event_bytes(settings.event_bytes)
            .session_bytes(settings.session_bytes)
            .ends_if_declined();
        Ok(match first {
            Some(first) => source.first(first),
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
            this.untried = None;
            this.failure().write_json(out);
            let outcome = Outcome::Error(ErrorCode::Interrupted);
            return Poll::Ready(Some(Mark::Terminal(outcome)));
        };
        let mark = ready!(source.as_mut().poll_record(cx, out));
        if mark.is_none()
            && let Some(reason) = source.as_mut().take_declined()
        {
            let way = *way;
            this.declined.push((way, decline(way, reason)));
            this.try_next();
            // Another call of the provider needs a running lease, as the first one did.
            return Poll::Ready(Some(Mark::Gate));
        }
        if this.untried.take().is_some() {
            tracing::info!(%way, "an interrupted answer goes on");
        }
        Poll::Ready(mark)
    }

    fn silence(&self) -> Option<Duration> {
        let (_, source) = self.current.as_ref()?;
        source.silence()
    }

    fn ending(&self, ending: &Ending) -> Option<Bytes> {
        let (_, source) = self.current.as_ref()?;
        source.ending(ending)
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
