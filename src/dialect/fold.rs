use crate::{
    chat::{ChatEvent, Transcript},
    log::Chunk,
};

/// What a session's records come to. Records that aren't events are left out, as clients ignore
/// what they don't know.
pub fn transcript(records: &[Chunk]) -> Transcript {
    let mut transcript = Transcript::new();
    for record in records.iter().flat_map(Chunk::records) {
        if let Ok(event) = serde_json::from_slice::<ChatEvent>(record.bytes) {
            transcript.push(&event);
        }
    }
    transcript
}
