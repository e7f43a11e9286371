use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::TryStream;

use super::judge::{SeamJudge, SeamVerdict};
use crate::{
    BoxError,
    chat::{ChatEvent, ChatRequest, Liveness, ProviderError},
};

/// The most bytes that are held back until a verdict.
const MAX_HELD: usize = 256 * 1024;

/// The check of the seam of one resumed answer: holds the provider's first events back until they are judged.
pub(crate) struct SeamCheck {
    judge: SeamJudge,
    /// True if the partial turn has no text, and its thinking is compared.
    of_thinking: bool,
    /// The thinking of the partial turn.
    thinking: String,
    liveness: Liveness,
    /// True once a text of the new turn came that is compared.
    has_begun: bool,
    held: VecDeque<ChatEvent>,
    held_bytes: usize,
    /// The bytes of compared text that are no longer kept.
    dropped: usize,
    is_over: bool,
    /// The judged events, and the end of the stream.
    out: VecDeque<Option<Result<ChatEvent, BoxError>>>,
}

impl SeamCheck {
    /// Creates the check of the answer to a request that asks for one. `None` if it doesn't, and where nothing is
    /// continued in the middle of a turn.
    pub(crate) fn of(request: &ChatRequest) -> Option<Box<Self>> {
        let so_far = request.so_far.as_ref()?;
        // While a call has no outcome, tools come next.
        if !request.check_seam || request.reattach || so_far.has_open_calls() {
            return None;
        }
        let turn = so_far.last_turn();
        let of_thinking = turn.text().is_empty();
        let partial = if of_thinking {
            turn.thinking()
        } else {
            turn.text()
        };
        if partial.trim().is_empty() {
            return None;
        }
        Some(Box::new(Self {
            judge: SeamJudge::new(partial.to_owned()),
            of_thinking,
            thinking: turn.thinking().to_owned(),
            liveness: request.liveness.clone(),
            has_begun: false,
            held: VecDeque::new(),
            held_bytes: 0,
            dropped: 0,
            is_over: false,
            out: VecDeque::new(),
        }))
    }

    fn take(&mut self, next: Option<Result<ChatEvent, BoxError>>) {
        self.liveness.heard();
        match next {
            Some(Ok(event)) => self.take_event(event),
            other => {
                if self.finish() {
                    self.out.push_back(other);
                }
            }
        }
    }

    fn take_event(&mut self, event: ChatEvent) {
        let compared = match &event {
            ChatEvent::Text(text) if !self.of_thinking => &text.content,
            ChatEvent::Thinking(thinking) if self.of_thinking => &thinking.content,
            ChatEvent::Thinking(_) | ChatEvent::ProviderState(_) if !self.has_begun => {
                return self.hold(event);
            }
            _ => {
                if self.finish() {
                    self.out.push_back(Some(Ok(event)));
                }
                return;
            }
        };
        self.has_begun |= !compared.is_empty();
        let bytes = compared.len();
        match self.judge.push(compared) {
            // What comes is cut off or declined in any case.
            SeamVerdict::Open if self.judge.is_sure() && !self.of_thinking => {
                self.drop_compared();
                self.dropped += bytes;
            }
            SeamVerdict::Open => self.hold(event),
            verdict => {
                self.held.push_back(event);
                self.decide(verdict);
            }
        }
    }

    fn hold(&mut self, event: ChatEvent) {
        self.held_bytes += match &event {
            ChatEvent::Text(text) => text.content.len(),
            ChatEvent::Thinking(thinking) => thinking.content.len(),
            event => event.to_json().len(),
        };
        self.held.push_back(event);
        if self.held_bytes > MAX_HELD {
            tracing::info!("a resumed answer isn't checked: too much comes before its text");
            self.decide(SeamVerdict::GoesOn {
                repeated: 0,
                is_whole: false,
            });
        }
    }

    fn drop_compared(&mut self) {
        while let Some(ChatEvent::Text(text)) = self.held.back() {
            self.dropped += text.content.len();
            self.held_bytes -= text.content.len();
            self.held.pop_back();
        }
    }

    /// Judges by what there is. Returns false if the way is declined.
    fn finish(&mut self) -> bool {
        if self.is_over {
            return true;
        }
        let verdict = self.judge.finish();
        self.decide(verdict)
    }

    /// Returns false if the way is declined.
    fn decide(&mut self, verdict: SeamVerdict) -> bool {
        if std::mem::replace(&mut self.is_over, true) {
            return true;
        }
        let (repeated, is_whole) = match verdict {
            SeamVerdict::BeginsAnew if !self.of_thinking => {
                self.held.clear();
                let anew = "the model began its answer anew";
                let error = ProviderError::cannot_continue(anew);
                self.out.push_back(Some(Err(error.into())));
                return false;
            }
            SeamVerdict::GoesOn { repeated, is_whole } => (repeated, is_whole),
            SeamVerdict::BeginsAnew | SeamVerdict::Open => (0, false),
        };
        if repeated > 0 {
            tracing::info!(
                repeated,
                "a resumed answer repeats words, which are cut off"
            );
        }
        if is_whole && !self.of_thinking {
            self.cut_thinking();
        }
        let mut cut = repeated - self.dropped.min(repeated);
        for mut event in self.held.drain(..) {
            let compared = match &mut event {
                ChatEvent::Text(text) if !self.of_thinking => &mut text.content,
                ChatEvent::Thinking(thinking) if self.of_thinking => &mut thinking.content,
                _ => {
                    self.out.push_back(Some(Ok(event)));
                    continue;
                }
            };
            let of_this = cut.min(compared.len());
            compared.drain(..of_this);
            cut -= of_this;
            if of_this == 0 || !compared.is_empty() {
                self.out.push_back(Some(Ok(event)));
            }
        }
        true
    }

    /// Cuts the thinking off that is that of the partial turn once more.
    fn cut_thinking(&mut self) {
        let thoughts = self.held.iter().filter_map(|event| match event {
            ChatEvent::Thinking(thinking) => Some(&*thinking.content),
            _ => None,
        });
        if thoughts.collect::<String>() == self.thinking {
            self.held
                .retain(|event| !matches!(event, ChatEvent::Thinking(_)));
        }
    }
}

/// Polls a stream for its next event through the check of its seam. Removes the check once it is done.
pub(crate) fn poll_checked<T>(
    check: &mut Option<Box<SeamCheck>>,
    stream: Pin<&mut T>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<ChatEvent, BoxError>>>
where
    T: TryStream<Ok = ChatEvent, Error: Into<BoxError>>,
{
    let seam = match check {
        Some(seam) if seam.out.is_empty() => {
            let next = ready!(stream.try_poll_next(cx));
            seam.take(next.map(|next| next.map_err(Into::into)));
            seam
        }
        Some(seam) => seam,
        None => {
            let next = stream.try_poll_next(cx);
            return next.map(|next| next.map(|next| next.map_err(Into::into)));
        }
    };
    let next = seam.out.pop_front();
    if seam.is_over && seam.out.is_empty() {
        *check = None;
    }
    let Some(next) = next else {
        // A stream that is always ready leaves the task to others too.
        cx.waker().wake_by_ref();
        return Poll::Pending;
    };
    Poll::Ready(next)
}

impl fmt::Debug for SeamCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeamCheck")
            .field("held", &self.held.len())
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
