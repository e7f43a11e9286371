use crate::chat::{ChatEvent, Piece, StateOf, Transcript};

/// The events that a log has after the position that is read on from: those of a batch that was split. They
/// come again, and are left out.
#[derive(Debug, Default)]
pub(super) struct LoggedTail {
    /// In bytes.
    text: usize,
    thinking: usize,
    /// In events.
    media: usize,
    sources: usize,
    states: usize,
    custom: usize,
    turns: usize,
}

impl LoggedTail {
    /// Returns what an answer has after its last position.
    pub(super) fn of(answer: &Transcript) -> Self {
        let mut tail = Self::default();
        for piece in answer.pieces() {
            match piece {
                Piece::ProviderState(state) if state.of == StateOf::Stream => tail = Self::default(),
                Piece::ProviderState(_) => tail.states += 1,
                Piece::Text(text) => tail.text += text.len(),
                Piece::Thinking(thinking) => tail.thinking += thinking.len(),
                Piece::Media(_) => tail.media += 1,
                Piece::Source(_) => tail.sources += 1,
                Piece::Custom(_) => tail.custom += 1,
                Piece::TurnEnd(_) => tail.turns += 1,
                _ => {}
            }
        }
        tail
    }

    /// Returns true if the log has the event. Of text that it has a part of, the rest is left.
    pub(super) fn holds(&mut self, event: &mut ChatEvent) -> bool {
        let count = match event {
            ChatEvent::Text(text) => return skip(&mut self.text, &mut text.content),
            ChatEvent::Thinking(thinking) => return skip(&mut self.thinking, &mut thinking.content),
            ChatEvent::Media(_) => &mut self.media,
            ChatEvent::Source(_) => &mut self.sources,
            ChatEvent::ProviderState(state) if state.of != StateOf::Stream => &mut self.states,
            ChatEvent::Custom(_) => &mut self.custom,
            ChatEvent::Turn(_) => &mut self.turns,
            _ => return false,
        };
        let held = *count > 0;
        *count = count.saturating_sub(1);
        held
    }
}

/// Removes what is logged from the beginning of a text. Returns true if nothing is left of it.
fn skip(logged: &mut usize, text: &mut String) -> bool {
    if *logged == 0 {
        return false;
    }
    let mut end = text.len().min(*logged);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.drain(..end);
    *logged = if text.is_empty() { *logged - end } else { 0 };
    text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chat::{Citation, ProviderState, ProviderStateEvent},
        provider::openai_responses::position::PROVIDER,
    };

    fn state(of: StateOf) -> ChatEvent {
        let state = ProviderState::new(PROVIDER, serde_json::Value::Null);
        ProviderStateEvent::new(of, state).into()
    }

    #[test]
    fn what_the_log_has_after_the_position_is_left_out_once() {
        let source = || ChatEvent::from(Citation::link("u", "https://a.b"));
        let events = [
            ChatEvent::text("before"),
            state(StateOf::Stream),
            ChatEvent::thinking("Hm"),
            ChatEvent::text("Hé"),
            source(),
        ];
        let answer: Transcript = events.iter().collect();
        let mut tail = LoggedTail::of(&answer);
        let mut again = [
            ChatEvent::thinking("Hm."),
            ChatEvent::text("H"),
            ChatEvent::text("éllo"),
            source(),
            source(),
            state(StateOf::Turn),
            ChatEvent::text("!"),
        ];
        let mut left: Vec<ChatEvent> = Vec::new();
        for event in &mut again {
            if !tail.holds(event) {
                left.push(event.clone());
            }
        }
        let expected = [
            ChatEvent::thinking("."),
            ChatEvent::text("llo"),
            source(),
            state(StateOf::Turn),
            ChatEvent::text("!"),
        ];
        assert_eq!(left, expected);
    }
}
