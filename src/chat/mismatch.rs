/// Where a value doesn't fit its schema, for whoever made the value.
///
/// Says where and what is expected, one flaw after the other; values aren't repeated in it.
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
