/// A value that doesn't fit its schema.
///
/// Its text lists each place and what is expected there. It doesn't repeat values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flaws}")]
pub struct Mismatch {
    flaws: String,
}

impl Mismatch {
    #[cfg(feature = "tools")]
    pub(super) fn new(flaws: String) -> Self {
        Self { flaws }
    }
}
