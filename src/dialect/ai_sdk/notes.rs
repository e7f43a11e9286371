use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{UiMessage, parts};
use crate::{
    chat::SessionInfo,
    dialect::{Problem, Refusal, Start},
};

/// The maximum size of the previous parts of a message, in bytes, that are stored for readers that begin
/// while the answer runs. With a longer message they get only the new parts until the application loads
/// it again.
const PREVIOUS_PARTS_BYTES: usize = 64 * 1024;

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

    /// Creates the notes of a session that continues this message.
    pub(super) fn continuing(message: &UiMessage) -> Result<Self, Refusal> {
        Ok(Self {
            message_id: Some(message.id.clone()).filter(|id| !id.is_empty()),
            calls: parts::call_ids(message)?,
            parts: storable(&message.parts),
        })
    }

    /// Adds the notes to a start.
    pub(super) fn put_into(self, start: &mut Start) -> Result<(), Refusal> {
        let json = |notes: &Self| {
            let json = serde_json::to_value(notes);
            json.map_err(|error| Refusal::new(Problem::WrongShape, error.to_string()))
        };
        let whole = json(&self)?;
        let lean = json(&Self {
            parts: Vec::new(),
            ..self
        })?;
        start.notes.insert(Self::NAME.to_owned(), whole);
        start.lean_notes.insert(Self::NAME.to_owned(), lean);
        Ok(())
    }
}

/// Returns the parts of a message, or none if they are too large for a record.
fn storable(parts: &[Map<String, Value>]) -> Vec<Map<String, Value>> {
    let bytes = serde_json::to_vec(parts).map_or(usize::MAX, |json| json.len());
    if bytes <= PREVIOUS_PARTS_BYTES {
        parts.to_vec()
    } else {
        Vec::new()
    }
}
