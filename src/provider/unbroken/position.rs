use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    chat::{InputId, LoggedTail, ProviderState, ProviderStateEvent, StateOf, Transcript, Usage},
    log::SessionId,
};

/// The name under which the state is kept.
pub(super) const PROVIDER: &str = "unbroken";

/// The place in the log of the other server after which to read on, and what a server must know to do so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InnerPosition {
    /// The id of the session there.
    pub(super) session: String,
    /// The LSN of the last event that was read.
    pub(super) after: u64,
    /// The usage of the turns until there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Usage>,
    /// The questions that are open there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) open: Vec<InputId>,
}

impl InnerPosition {
    /// Reads the position from the state of a stream. `None` if it isn't one of this provider.
    pub(super) fn read(state: &ProviderState) -> Option<Self> {
        let position: Self = serde_json::from_value(state.of(PROVIDER)?.clone()).ok()?;
        let is_id = position.session.parse::<SessionId>().is_ok();
        (is_id && position.after > 0).then_some(position)
    }

    /// Returns true if clients may have something of the answer, whose log so far this is.
    pub(super) fn is_shown(&self, so_far: &Transcript) -> bool {
        // The first event there isn't shown.
        self.after > 1 || so_far.logged_tail() != LoggedTail::default()
    }

    /// Writes the event that keeps the position.
    pub(super) fn event(&self) -> ProviderStateEvent {
        let data = serde_json::to_value(self).unwrap_or(Value::Null);
        let state = ProviderState::new(PROVIDER, data);
        ProviderStateEvent::new(StateOf::Stream, state).spans_turns(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written_and_no_other_state_is() {
        let position = InnerPosition {
            session: "u0123456789abcdefghjkmnpqrs".into(),
            after: 7,
            usage: Some(Usage::new(3, 4)),
            open: vec!["a.1".parse().unwrap()],
        };
        let state = position.event().state;
        assert_eq!(InnerPosition::read(&state), Some(position));
        let other = ProviderState::new("openai-responses", state.data.clone());
        assert_eq!(InnerPosition::read(&other), None);
        for id in ["", "..", "../models", "short", &"a".repeat(129)] {
            let mut data = state.data.clone();
            data["session"] = id.into();
            let state = ProviderState::new(PROVIDER, data);
            assert_eq!(InnerPosition::read(&state), None, "{id}");
        }
        let mut data = state.data.clone();
        data["after"] = 0.into();
        let state = ProviderState::new(PROVIDER, data);
        assert_eq!(InnerPosition::read(&state), None);
    }
}
