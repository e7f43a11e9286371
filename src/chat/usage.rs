use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What an answer cost, in tokens, as the provider counted them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Usage {
    /// Tokens that the model read.
    #[serde(default)]
    pub input_tokens: u64,
    /// Tokens that the model made, those of its thinking among them.
    #[serde(default)]
    pub output_tokens: u64,
    /// How many of the input tokens came from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_tokens: Option<u64>,
    /// How many of the output tokens were thinking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Usage {
    /// So many tokens in and out.
    pub fn new(input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens,
            output_tokens,
            ..Self::default()
        }
    }

    /// Tokens in and out together.
    pub fn total_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// What several turns cost together. Of fields that this version doesn't know the last counts.
///
/// ```
/// use unbroken::chat::Usage;
///
/// let mut usage = Usage::new(10, 2);
/// usage += Usage::new(14, 30);
/// assert_eq!(usage, Usage::new(24, 32));
/// ```
impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        fn both(a: Option<u64>, b: Option<u64>) -> Option<u64> {
            match (a, b) {
                (Some(a), Some(b)) => Some(a.saturating_add(b)),
                (a, b) => a.or(b),
            }
        }
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cached_input_tokens = both(self.cached_input_tokens, other.cached_input_tokens);
        self.reasoning_tokens = both(self.reasoning_tokens, other.reasoning_tokens);
        self.extra.extend(other.extra);
    }
}
