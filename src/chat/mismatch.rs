/// A value that doesn't fit its schema.
///
/// Its text lists each place and what is expected there. It doesn't repeat values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{places}")]
pub struct Mismatch {
    places: String,
}

impl Mismatch {
    pub(super) fn new(places: String) -> Self {
        Self { places }
    }
}
