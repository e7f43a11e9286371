use crate::{
    chat::{ChatEvent, Transcript},
    log::Chunk,
};

/// Folds the records of a session into a transcript. Records that aren't events are ignored.
pub fn transcript(records: &[Chunk]) -> Transcript {
    let mut transcript = Transcript::new();
    for record in records.iter().flat_map(Chunk::records) {
        if let Ok(event) = serde_json::from_slice::<ChatEvent>(record.bytes) {
            transcript.push(&event);
        }
    }
    transcript
}
