use crate::chat::{ChatEvent, StateOf, ToolInput};

/// The events that a log has after the [state of the provider's stream](super::Transcript::stream_state).
///
/// A batch of records may have been split, so that the events of a stream are stored up to a later place than
/// its state. A provider that reads on from the state leaves out what the log [holds](Self::holds) already.
///
/// ```
/// # use serde_json::json;
/// use unbroken::chat::{ChatEvent, ProviderState, ProviderStateEvent, StateOf, Transcript};
///
/// let state = ProviderState::new("mine", json!({"after": 7}));
/// let log = [ProviderStateEvent::new(StateOf::Stream, state).into(), ChatEvent::text("Hel")];
/// let mut tail = log.iter().collect::<Transcript>().logged_tail();
///
/// let mut again = ChatEvent::text("Hello");
/// assert!(!tail.holds(&mut again));
/// assert_eq!(again, ChatEvent::text("lo"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedTail {
    /// In bytes.
    text: usize,
    thinking: usize,
    inputs: usize,
    /// In events.
    announced: usize,
    media: usize,
    sources: usize,
    states: usize,
    calls: usize,
    custom: usize,
    /// Of all other kinds.
    others: usize,
}

impl LoggedTail {
    /// Adds an event of the log.
    pub(super) fn push(&mut self, event: &ChatEvent) {
        match event {
            ChatEvent::ProviderState(state) if state.of == StateOf::Stream => {
                *self = Self::default();
            }
            ChatEvent::Text(text) => self.text += text.content.len(),
            ChatEvent::Thinking(thinking) => self.thinking += thinking.content.len(),
            ChatEvent::ToolInput(input) => {
                self.inputs += input.delta.len();
                self.announced += usize::from(input.name.is_some());
            }
            event => {
                if let Some(count) = self.count(event) {
                    *count += 1;
                }
            }
        }
    }

    /// Returns the number of sources that the log has after the state.
    #[cfg(feature = "openai-responses-upstream")]
    pub(crate) fn sources(&self) -> usize {
        self.sources
    }

    /// Returns true if the log has the event, which comes again. Of a text that it has a part of, the rest is
    /// left in the event.
    pub fn holds(&mut self, event: &mut ChatEvent) -> bool {
        match event {
            ChatEvent::Text(text) => skip(&mut self.text, &mut text.content),
            ChatEvent::Thinking(thinking) => skip(&mut self.thinking, &mut thinking.content),
            ChatEvent::ToolInput(input) => self.holds_input(input),
            event => self.count(event).is_some_and(|count| {
                let held = *count > 0;
                *count = count.saturating_sub(1);
                held
            }),
        }
    }

    fn holds_input(&mut self, input: &mut ToolInput) -> bool {
        let announces = input.name.is_some();
        if announces && self.announced > 0 {
            self.announced -= 1;
            input.name = None;
        }
        let is_logged = skip(&mut self.inputs, &mut input.delta);
        input.name.is_none() && (is_logged || announces && input.delta.is_empty())
    }

    fn count(&mut self, event: &ChatEvent) -> Option<&mut usize> {
        Some(match event {
            ChatEvent::Media(_) => &mut self.media,
            ChatEvent::Source(_) => &mut self.sources,
            ChatEvent::ProviderState(state) if state.of != StateOf::Stream => &mut self.states,
            ChatEvent::ToolCalls(_) => &mut self.calls,
            ChatEvent::Custom(_) => &mut self.custom,
            // Those of a stream that spans turns.
            ChatEvent::Turn(_)
            | ChatEvent::ToolProgress(_)
            | ChatEvent::ToolResult(_)
            | ChatEvent::ToolError(_)
            | ChatEvent::InputRequest(_)
            | ChatEvent::InputResolved(_)
            | ChatEvent::IsomorphicHandoff(_)
            | ChatEvent::ConversationState(_)
            | ChatEvent::Unknown(_) => &mut self.others,
            _ => return None,
        })
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
    use crate::chat::{Citation, ProviderState, ProviderStateEvent, Transcript};

    fn state(of: StateOf) -> ChatEvent {
        let state = ProviderState::new("p", serde_json::Value::Null);
        ProviderStateEvent::new(of, state).into()
    }

    fn input(delta: &str) -> ChatEvent {
        ToolInput::new("c", delta).into()
    }

    fn named(delta: &str) -> ChatEvent {
        ToolInput::new("c", delta).name("t").into()
    }

    #[test]
    fn what_the_log_has_after_the_state_is_left_out_once() {
        let source = || ChatEvent::from(Citation::link("u", "https://a.b"));
        let events = [
            ChatEvent::text("before"),
            state(StateOf::Stream),
            ChatEvent::thinking("Hm"),
            ChatEvent::text("H\u{e9}"),
            source(),
            named(""),
            input("{\"a"),
        ];
        let answer: Transcript = events.iter().collect();
        let mut tail = answer.last_turn().logged_tail();
        let mut again = [
            ChatEvent::thinking("Hm."),
            ChatEvent::text("H"),
            ChatEvent::text("\u{e9}llo"),
            source(),
            source(),
            state(StateOf::Turn),
            ChatEvent::text("!"),
            named(""),
            input("{"),
            input("\"a\":1"),
            named(""),
            input("}"),
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
            input("\":1"),
            named(""),
            input("}"),
        ];
        assert_eq!(left, expected);
    }

    #[test]
    fn a_state_that_spans_turns_stays_and_all_events_after_it_count() {
        let turn = || ChatEvent::from(crate::chat::TurnEnd::new(crate::chat::FinishReason::Stop));
        let result = || ChatEvent::tool_result("1", "now", "noon");
        for spans_turns in [false, true] {
            let kept = ProviderState::new("p", serde_json::Value::Null);
            let kept = ProviderStateEvent::new(StateOf::Stream, kept).spans_turns(spans_turns);
            let log = [kept.into(), turn(), result(), ChatEvent::text("He")];
            let mut answer: Transcript = log.iter().collect();
            assert_eq!(answer.stream_state().is_some(), spans_turns);
            let mut tail = answer.last_turn().logged_tail();
            let mut again = [turn(), result(), ChatEvent::text("Hello"), turn()];
            let held = again.each_mut().map(|event| tail.holds(event));
            assert_eq!(held, [spans_turns, spans_turns, false, false]);
            let rest = if spans_turns { "llo" } else { "Hello" };
            assert_eq!(again[2], ChatEvent::text(rest));
            answer.push(&ChatEvent::restarted("again"));
            assert_eq!(answer.stream_state(), None);
        }
    }

    #[test]
    fn without_a_stream_there_is_no_tail() {
        let turn = crate::chat::TurnEnd::new(crate::chat::FinishReason::Stop);
        for log in [
            vec![ChatEvent::text("Hi")],
            vec![state(StateOf::Stream), ChatEvent::text("Hi"), turn.into()],
        ] {
            let answer: Transcript = log.iter().collect();
            assert_eq!(answer.logged_tail(), LoggedTail::default());
        }
    }
}
