use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::chat::SessionInfo;

/// Facts of the request that encoders need, stored in the first record as `aiSdk`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct MessageNotes {
    /// The message that the answer continues.
    pub(super) message_id: Option<String>,
    /// The calls in the message.
    pub(super) calls: Vec<String>,
    /// The parts of the message at the start of the session.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<Map<String, Value>>,
}

impl MessageNotes {
    pub(super) const NAME: &'static str = "aiSdk";

    /// Returns the notes of a session; the default if it has none.
    pub(super) fn of(info: &SessionInfo) -> Self {
        let notes = info.extra.get(Self::NAME);
        notes
            .and_then(|notes| Self::deserialize(notes).ok())
            .unwrap_or_default()
    }
}
