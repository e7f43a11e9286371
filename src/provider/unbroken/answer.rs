use std::collections::VecDeque;

use serde::{Deserialize, de::Error as _};

use super::{position::InnerPosition, refusal};
use crate::{
    chat::{ChatEvent, InputId, ProviderError, StateOf, TurnEnd, Usage, has_reserved_name},
    provider::http::unreadable,
};

/// An answer that runs at the other server, as far as its log was read. No I/O and no clock.
#[derive(Debug)]
pub(super) struct InnerAnswer {
    /// Empty until the other server is asked.
    session: String,
    /// The LSN after which this server began to read; 0 unless another one of ours had read until there.
    from: u64,
    /// The LSN of the last event that was read; 0 before the first.
    after: u64,
    /// True once clients have something of the answer.
    shown: bool,
    /// True once the answer is over, or wanted no more.
    ended: bool,
    /// True if the last connection ended inside of a line, or with one that isn't the next.
    broken: bool,
    /// Of the turns that are over.
    usage: Option<Usage>,
    held: Option<HeldEvents>,
}

/// The most bytes of events that are held. A log that is longer is passed on as it comes.
pub(super) const MAX_HELD: usize = 4 * 1024 * 1024;

/// The events that the log had already when reading began: a `restarted` among them drops those before it.
#[derive(Debug)]
struct HeldEvents {
    until: u64,
    /// Of the lines that held them.
    bytes: usize,
    events: Vec<ChatEvent>,
}

/// A line of the stream.
#[derive(Deserialize)]
struct NativeLine {
    /// None of a notice.
    #[serde(default)]
    lsn: Option<u64>,
    event: ChatEvent,
}

impl InnerAnswer {
    /// Creates an answer of which nothing was read.
    pub(super) fn new() -> Self {
        Self {
            session: String::new(),
            from: 0,
            after: 0,
            shown: false,
            ended: false,
            broken: false,
            usage: None,
            held: None,
        }
    }

    /// Creates an answer that is read on after a position. `shown` is true if clients have something of it.
    pub(super) fn read_on(position: &InnerPosition, shown: bool) -> Self {
        Self {
            session: position.session.clone(),
            from: position.after,
            after: position.after,
            shown,
            usage: position.usage.clone(),
            ..Self::new()
        }
    }

    /// Begins the call under this id.
    pub(super) fn ask(&mut self, session: String) {
        self.session = session;
    }

    /// Takes the last LSN that a log has when reading begins.
    pub(super) fn begin_log(&mut self, tail: u64) {
        // The first event isn't shown.
        self.held = (tail > self.from.max(1)).then(|| HeldEvents {
            until: tail,
            bytes: 0,
            events: Vec::new(),
        });
    }

    /// Notes that the other server doesn't run the call.
    pub(super) fn refuse(&mut self) {
        self.session.clear();
    }

    /// Returns the id of the session, and the LSN after which to read on.
    pub(super) fn cursor(&self) -> (String, u64) {
        (self.session.clone(), self.after)
    }

    /// Returns true if nothing was read yet.
    pub(super) fn is_unread(&self) -> bool {
        self.after == self.from
    }

    /// Notes whether a connection ended inside of a line, or with one that isn't the next.
    pub(super) fn note_broken(&mut self, is_broken: bool) {
        self.broken = is_broken;
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Returns the position, if all events before it were passed on.
    pub(super) fn position(&self, open: Vec<InputId>) -> Option<InnerPosition> {
        let is_passed_on = self.held.as_ref().is_none_or(|held| held.events.is_empty());
        (is_passed_on && !self.ended).then(|| InnerPosition {
            open,
            ..self.place()
        })
    }

    fn place(&self) -> InnerPosition {
        InnerPosition {
            session: self.session.clone(),
            after: self.after,
            usage: self.usage.clone(),
            open: Vec::new(),
        }
    }

    /// Returns true once the answer is over.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Leaves the answer as it is.
    pub(super) fn leave(&mut self) {
        self.ended = true;
    }

    /// Marks the answer as wanted no more. Returns its id if it may run.
    pub(super) fn stop(&mut self) -> Option<String> {
        let has_ended = std::mem::replace(&mut self.ended, true);
        let runs = !has_ended && !self.session.is_empty();
        runs.then(|| self.session.clone())
    }

    /// Takes a line of the stream.
    pub(super) fn take(
        &mut self,
        line: &[u8],
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if has_reserved_name(line) {
            return Err(damaged());
        }
        let NativeLine { lsn, event } = serde_json::from_slice(line).map_err(unreadable)?;
        let Some(lsn) = lsn else {
            // The server has lost its store for now, and ends the body.
            return match event.kind() {
                "unavailable" => Ok(()),
                _ => Err(damaged()),
            };
        };
        if lsn <= self.after {
            return Ok(());
        }
        if lsn != self.after + 1 {
            return Err(damaged());
        }
        let is_first = lsn == 1;
        let last = event.is_terminal();
        self.after = lsn;
        if is_first {
            // Before anything is shown, so that another server finds the answer.
            out.push_back(self.place().event().into());
        }
        let taken = self.take_event(event, out);
        let may_decline = self.from > 0 && self.held.is_some();
        if may_decline && taken.as_ref().is_err_and(ProviderError::is_recoverable) {
            // Another way of recovery may do better, as long as nothing of this one is shown.
            self.held = None;
            return taken;
        }
        let passed = self.held.as_mut().is_none_or(|held| {
            held.bytes += line.len();
            lsn >= held.until || held.bytes > MAX_HELD || last
        });
        if passed && let Some(held) = self.held.take() {
            self.shown |= !held.events.is_empty();
            out.extend(held.events);
        }
        taken
    }

    fn take_event(
        &mut self,
        event: ChatEvent,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match event {
            ChatEvent::SessionInfo(_) => Ok(()),
            // Of the other server's own provider, and shown without its data.
            ChatEvent::ProviderState(state) if state.of == StateOf::Stream => Ok(()),
            ChatEvent::Restarted(_) => self.restart(),
            ChatEvent::Turn(end) => {
                self.count(&end);
                self.pass(ChatEvent::Turn(end), out);
                Ok(())
            }
            ChatEvent::Complete(end) => {
                self.ended = true;
                self.pass(ChatEvent::Complete(end), out);
                Ok(())
            }
            ChatEvent::Aborted(mut end) => {
                self.ended = true;
                // It names what was done at the other server.
                end.reason = None;
                self.pass(ChatEvent::Aborted(end), out);
                Ok(())
            }
            ChatEvent::Error(end) => {
                self.ended = true;
                let error = refusal::failed(&end);
                Err(match end.usage.map(|all| self.of_last_turn(&all)) {
                    Some(usage) => error.with_usage(usage),
                    None => error,
                })
            }
            event => {
                self.pass(event, out);
                Ok(())
            }
        }
    }

    fn pass(&mut self, event: ChatEvent, out: &mut VecDeque<ChatEvent>) {
        if let Some(held) = &mut self.held {
            held.events.push(event);
        } else {
            self.shown = true;
            out.push_back(event);
        }
    }

    /// Drops what came before, unless that was passed on.
    fn restart(&mut self) -> Result<(), ProviderError> {
        if self.shown {
            let reason = "the model's server has begun its answer anew";
            return Err(ProviderError::cannot_continue(reason));
        }
        if let Some(held) = &mut self.held {
            held.events.clear();
            held.bytes = 0;
        }
        self.usage = None;
        Ok(())
    }

    fn count(&mut self, end: &TurnEnd) {
        if let Some(usage) = &end.usage {
            *self.usage.get_or_insert_default() += usage.clone();
        }
    }

    /// Returns the usage of a turn that failed, out of that of the whole answer: those before are told.
    fn of_last_turn(&self, all: &Usage) -> Usage {
        let before = self.usage.clone().unwrap_or_default();
        let rest = |all: Option<u64>, before: Option<u64>| {
            all.map(|all| all.saturating_sub(before.unwrap_or(0)))
        };
        let mut usage = Usage::new(
            all.input_tokens.saturating_sub(before.input_tokens),
            all.output_tokens.saturating_sub(before.output_tokens),
        );
        usage.cached_input_tokens = rest(all.cached_input_tokens, before.cached_input_tokens);
        usage.reasoning_tokens = rest(all.reasoning_tokens, before.reasoning_tokens);
        usage
    }
}

/// Creates the error of a stream that isn't that of a log. The connection may have damaged it.
fn damaged() -> ProviderError {
    unreadable(serde_json::Error::custom("not the next event of a log"))
}
