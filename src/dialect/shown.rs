//! Records as clients of the stored events get them.

use std::borrow::Cow;

use super::HISTORY_NOTE;
use crate::chat::{ChatEvent, StateOf, has_kind};

/// Returns the record as clients get it: as it is stored, but for what is for servers only: the data of the state
/// of the provider's stream, and what a history gets of the request. The record stays, so that LSNs have no gap.
pub(super) fn shown(record: &[u8]) -> Cow<'_, [u8]> {
    if has_kind(record, "session_info") {
        return without_history(record);
    }
    if !has_kind(record, "provider_state") {
        return Cow::Borrowed(record);
    }
    match serde_json::from_slice(record) {
        Ok(ChatEvent::ProviderState(event)) if event.of != StateOf::Stream => Cow::Borrowed(record),
        Ok(ChatEvent::ProviderState(mut event)) => {
            event.state.data = serde_json::Value::Null;
            event.extra.clear();
            Cow::Owned(ChatEvent::ProviderState(event).to_json().to_vec())
        }
        _ => Cow::Borrowed(br#"{"type":"provider_state"}"#),
    }
}

fn without_history(record: &[u8]) -> Cow<'_, [u8]> {
    let name = format!("\"{HISTORY_NOTE}\"");
    if !record.windows(name.len()).any(|it| it == name.as_bytes()) {
        return Cow::Borrowed(record);
    }
    match serde_json::from_slice(record) {
        Ok(ChatEvent::SessionInfo(mut info)) => {
            info.extra.remove(HISTORY_NOTE);
            Cow::Owned(ChatEvent::SessionInfo(info).to_json().to_vec())
        }
        _ => Cow::Borrowed(record),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::{ProviderState, ProviderStateEvent, SessionInfo};

    #[test]
    fn what_a_history_gets_of_a_request_is_not_shown() {
        let mut info = SessionInfo::default();
        info.extra.insert("other".into(), json!("history"));
        let without = ChatEvent::from(info.clone()).to_json();
        assert_eq!(shown(&without), &without[..]);
        let note = json!({"messages": [{"id": "1", "text": "private"}]});
        info.extra.insert(HISTORY_NOTE.into(), note);
        let with = ChatEvent::from(info).to_json();
        assert_eq!(shown(&with), &without[..]);
        let text = ChatEvent::text("\"history\"").to_json();
        assert_eq!(shown(&text), &text[..]);
    }

    #[test]
    fn the_state_of_a_stream_is_shown_without_its_data() {
        let event = |of| {
            let state = ProviderState::new("p", json!({"cursor": "secret"}));
            ChatEvent::from(ProviderStateEvent::new(of, state)).to_json()
        };
        for of in [StateOf::Turn, StateOf::Call("a".into())] {
            let record = event(of);
            assert_eq!(shown(&record), &record[..]);
        }
        let stream = event(StateOf::Stream);
        let shown_stream = shown(&stream);
        let read: serde_json::Value = serde_json::from_slice(&shown_stream).unwrap();
        let expected =
            json!({"type": "provider_state", "provider": "p", "of": "stream", "data": null});
        assert_eq!(read, expected);
        assert!(serde_json::from_slice::<ChatEvent>(&shown_stream).is_ok());
        let text = ChatEvent::text("provider_state").to_json();
        assert_eq!(shown(&text), &text[..]);
        assert_eq!(
            shown(br#"{"type":"provider_state","data":1"#),
            &br#"{"type":"provider_state"}"#[..]
        );
    }
}
