//! The stored form of a request: what recovery starts the session from again. It includes the notes
//! that the dialect has in the first record.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::chat::{ChatEvent, ChatRequest, SessionInfo};

/// The field of the notes. Clients can't send it: the layer drops fields that aren't opened by name.
const NOTES: &str = "$notes";

#[derive(Serialize)]
struct StoredRequest<'a> {
    #[serde(flatten)]
    request: &'a ChatRequest,
    #[serde(rename = "$notes", skip_serializing_if = "Map::is_empty")]
    notes: &'a Map<String, Value>,
}

/// Encodes a request and its notes.
pub(super) fn store(
    request: &mut ChatRequest,
    notes: &Map<String, Value>,
) -> Result<Bytes, serde_json::Error> {
    request.extra.remove(NOTES);
    serde_json::to_vec(&StoredRequest { request, notes }).map(Bytes::from)
}

/// Decodes a request and its notes.
pub(super) fn restore(
    bytes: &[u8],
) -> Result<(ChatRequest, Map<String, Value>), serde_json::Error> {
    let mut request: ChatRequest = serde_json::from_slice(bytes)?;
    let notes = match request.extra.remove(NOTES) {
        Some(Value::Object(notes)) => notes,
        _ => Map::new(),
    };
    Ok((request, notes))
}

/// Encodes the first record of a session, `session_info` with the notes.
pub(super) fn first_record(info: &SessionInfo, notes: Map<String, Value>) -> Bytes {
    let mut info = info.clone();
    info.extra.extend(notes);
    ChatEvent::from(info).to_json().freeze()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn notes_come_back_beside_the_request_and_never_inside() {
        let mut request = ChatRequest::from_user("Hi");
        request.extra.insert("open".into(), json!(1));
        request.extra.insert(NOTES.into(), json!({"forged": true}));
        let notes = Map::from_iter([("aiSdk".to_owned(), json!({"messageId": "m1"}))]);
        let bytes = store(&mut request, &notes).unwrap();
        let (restored, read) = restore(&bytes).unwrap();
        assert_eq!(read, notes);
        assert_eq!(
            restored.extra,
            Map::from_iter([("open".to_owned(), json!(1))])
        );
        assert_eq!(restored.messages, request.messages);
        let bare = store(&mut request, &Map::new()).unwrap();
        assert_eq!(restore(&bare).unwrap().1, Map::new());
    }
}
