use crate::chat::{ChatEvent, Transcript, TurnUsage, Usage};

/// The usage of an answer while it runs: of the turns that are over, and of the present one as far as its
/// provider reports it.
#[derive(Debug, Clone)]
pub(super) struct AnswerUsage {
    // Of the turns that are over. Until a restarted answer begins, of the one that it replaces.
    before: Option<Usage>,
    restarts: bool,
    pub(super) of_turn: TurnUsage,
}

impl AnswerUsage {
    /// Creates the usage of an answer that continues `so_far`, if there is one.
    pub(super) fn after(so_far: Option<&Transcript>) -> Self {
        Self {
            before: so_far.and_then(Transcript::usage),
            restarts: false,
            of_turn: TurnUsage::new(),
        }
    }

    /// Sets the usage of an answer that counts until this one, which replaces it, [begins](Self::begin).
    pub(super) fn replaces(&mut self, dropped: Option<Usage>) {
        (self.before, self.restarts) = (dropped, true);
    }

    /// Notes that clients have got something of this answer.
    pub(super) fn begin(&mut self) {
        if std::mem::take(&mut self.restarts) {
            self.before = None;
        }
    }

    /// Returns the usage until now, as far as it is known.
    pub(super) fn so_far(&self) -> Option<Usage> {
        match self.of_turn.known() {
            Some(of_turn) => Some(self.with_turn(of_turn)),
            None => self.before.clone(),
        }
    }

    /// Returns the usage of the turns that are over, and of this one.
    pub(super) fn with_turn(&self, of_turn: Usage) -> Usage {
        let mut usage = self.before.clone().unwrap_or_default();
        usage += of_turn;
        usage
    }

    /// Adds the usage of a turn that ends, or puts that of the answer into a terminal event without one.
    pub(super) fn apply(&mut self, mut event: ChatEvent) -> ChatEvent {
        if let ChatEvent::Turn(end) = &mut event {
            if end.usage.is_none() {
                end.usage = self.of_turn.known();
            }
            if let Some(usage) = end.usage.clone() {
                self.before = Some(self.with_turn(usage));
            }
            self.of_turn.clear();
        } else if let Some(usage @ None) = of_terminal(&mut event) {
            *usage = self.so_far();
        }
        event
    }

    /// Returns true if the event is terminal and has no usage although there is one.
    pub(super) fn lacks_in(&self, event: &ChatEvent) -> bool {
        let lacks = match event {
            ChatEvent::Complete(end) => end.usage.is_none(),
            ChatEvent::Aborted(end) => end.usage.is_none(),
            ChatEvent::Error(end) => end.usage.is_none(),
            _ => false,
        };
        lacks && self.so_far().is_some()
    }
}

fn of_terminal(event: &mut ChatEvent) -> Option<&mut Option<Usage>> {
    match event {
        ChatEvent::Complete(end) => Some(&mut end.usage),
        ChatEvent::Aborted(end) => Some(&mut end.usage),
        ChatEvent::Error(end) => Some(&mut end.usage),
        _ => None,
    }
}
