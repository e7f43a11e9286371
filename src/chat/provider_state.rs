use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json_bytes;

/// Data that a provider must be handed back, opaque to everyone else: a signature, an encrypted block
/// of reasoning.
///
/// A provider reads only the data under its own name.
///
/// `Debug` shows its size instead of its content.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProviderState {
    /// The name of the provider's protocol: `openai`, `anthropic`.
    pub provider: String,
    /// The data.
    pub data: Value,
}

impl ProviderState {
    /// Creates data of this provider.
    pub fn new(provider: impl Into<String>, data: Value) -> Self {
        Self {
            provider: provider.into(),
            data,
        }
    }

    /// Returns the data if it belongs to this provider.
    pub fn of(&self, provider: &str) -> Option<&Value> {
        (self.provider == provider).then_some(&self.data)
    }

    /// Returns the number of bytes of its name and data.
    pub(crate) fn bytes(&self) -> usize {
        self.provider.len() + json_bytes(&self.data)
    }
}

impl fmt::Debug for ProviderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderState")
            .field("provider", &self.provider)
            .field("bytes", &json_bytes(&self.data))
            .finish()
    }
}
