use serde::{Deserialize, Serialize};

/// What somebody did with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputAction {
    /// Said yes, or answered.
    Accept,
    /// Said no.
    Decline,
    /// Put it away without saying anything.
    Cancel,
}
