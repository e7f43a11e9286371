/// The longest name of a model that is kept, in bytes.
const MAX_BYTES: usize = 256;

/// Returns true if a server names its model so that the name is kept.
pub(crate) fn is_model(name: &str) -> bool {
    (1..=MAX_BYTES).contains(&name.len())
}
