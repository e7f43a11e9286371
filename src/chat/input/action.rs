use serde::{Deserialize, Serialize};

/// The user's reaction to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputAction {
    /// Allows it, or answers.
    Accept,
    /// Refuses.
    Decline,
    /// Dismisses the question without an answer.
    Cancel,
}
