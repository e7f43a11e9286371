use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::InputAction;

/// An answer to a question, and the body of the request that carries it.
///
/// The words are those of MCP's elicitation: `{"action":"accept","content":{…}}`. `Debug` doesn't
/// show the content.
///
/// ```
/// use unbroken::chat::{InputAction, InputAnswer};
///
/// let answer: InputAnswer = serde_json::from_str(r#"{"action":"decline"}"#)?;
/// assert_eq!(answer.action, InputAction::Decline);
/// assert!(serde_json::from_str::<InputAnswer>(r#"{"action":"shrug"}"#).is_err());
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InputAnswer {
    /// The user's reaction.
    pub action: InputAction,
    /// The content of an acceptance; `null` if there is none. It has no meaning for other actions.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub content: Value,
}

impl InputAnswer {
    /// Creates an acceptance with this content.
    pub fn accept(content: Value) -> Self {
        Self {
            action: InputAction::Accept,
            content,
        }
    }

    /// Creates a refusal.
    pub fn decline() -> Self {
        Self {
            action: InputAction::Decline,
            content: Value::Null,
        }
    }

    /// Creates the answer of a user who dismisses the question.
    pub fn cancel() -> Self {
        Self {
            action: InputAction::Cancel,
            content: Value::Null,
        }
    }
}

impl fmt::Debug for InputAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputAnswer")
            .field("action", &self.action)
            .field("has_content", &!self.content.is_null())
            .finish()
    }
}
