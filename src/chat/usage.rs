use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The tokens that an answer used, as the provider counted them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Usage {
    /// Tokens that the model read.
    #[serde(default)]
    pub input_tokens: u64,
    /// Tokens that the model produced, including its thinking.
    #[serde(default)]
    pub output_tokens: u64,
    /// Input tokens that came from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_tokens: Option<u64>,
    /// Output tokens of the model's thinking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Fields that this version doesn't know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Usage {
    /// Creates a usage of so many input and output tokens.
    pub fn new(input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens,
            output_tokens,
            ..Self::default()
        }
    }

    /// Returns the sum of input and output tokens.
    pub fn total_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// Adds the usage of another turn. Of fields that this version doesn't know, the last value counts.
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
