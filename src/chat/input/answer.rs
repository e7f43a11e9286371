use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::InputAction;

/// What somebody answered: the body of the request that brings it.
///
/// The words are those of MCP's elicitation: `{"action":"accept","content":{…}}`. Its `Debug`
/// doesn't show the content.
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
    /// What they did.
    pub action: InputAction,
    /// What they said; only of meaning where they accepted. `null` if nothing.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub content: Value,
}

impl InputAnswer {
    /// Yes, with this content.
    pub fn accept(content: Value) -> Self {
        Self {
            action: InputAction::Accept,
            content,
        }
    }

    /// No.
    pub fn decline() -> Self {
        Self {
            action: InputAction::Decline,
            content: Value::Null,
        }
    }

    /// Neither.
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
