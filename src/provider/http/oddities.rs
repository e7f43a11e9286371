/// The fields of an answer that were dropped because of their shape. The first one is traced.
#[derive(Debug, Default)]
pub(crate) struct Oddities {
    traced: bool,
}

impl Oddities {
    /// Notes a field that is dropped.
    pub(crate) fn note(&mut self, field: &str) {
        if !std::mem::replace(&mut self.traced, true) {
            tracing::warn!(
                field,
                "the model's server sent something that is dropped; the answer goes on"
            );
        }
    }
}
