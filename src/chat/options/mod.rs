//! The settings of a model that a request may carry.

mod check;
mod defaults;
mod format;
mod reasoning;
mod tool_choice;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::as_json::null_is_default;

pub use self::{
    check::InvalidOption,
    format::ResponseFormat,
    reasoning::{ReasoningEffort, ReasoningOptions},
    tool_choice::ToolChoice,
};

/// The settings of a model in a [`ChatRequest`](super::ChatRequest). An absent one is left to the model's
/// server.
///
/// Clients may send only those that the application opens
/// ([`ClientFields`](crate::durable::ClientFields)). A provider that can't honour one refuses the request
/// before its first event, unless the application has made it lenient.
///
/// ```
/// use unbroken::chat::ChatOptions;
///
/// let options: ChatOptions = serde_json::from_str(r#"{"temperature": 0.2, "maxOutputTokens": 500}"#)?;
/// assert_eq!(options.temperature, Some(0.2));
/// options.check()?;
/// assert_eq!(ChatOptions::default().temperature(3.0).check().unwrap_err().name(), "temperature");
/// # Ok::<_, unbroken::BoxError>(())
/// ```
///
/// `Debug` shows the names of provider fields and no schema.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChatOptions {
    /// The randomness of the choice of tokens: 0 to 2. Models differ in what they make of a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// The share of likely tokens to choose from: above 0, up to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The most tokens that a turn of the model may have, its reasoning included: 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    /// Texts at which the model stops, and which it leaves out: at most [`MAX_STOPS`](Self::MAX_STOPS).
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub stop: Vec<String>,
    /// A seed, for answers that can be repeated as far as the model's server can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// The tools that the model may or must call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Whether a turn may call several tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// The reasoning of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<ReasoningOptions>,
    /// The format of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
    /// Further fields, which the provider puts into its server's request as they are. They replace no
    /// field that the provider sets itself.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub provider_fields: Map<String, Value>,
}

impl ChatOptions {
    /// The most texts at which the model stops.
    pub const MAX_STOPS: usize = 16;
    /// The maximum length of one of those texts, in bytes.
    pub const MAX_STOP_BYTES: usize = 256;
    /// The maximum length of the name of a tool or of a response format, in bytes.
    pub const MAX_NAME_BYTES: usize = 128;

    /// Creates options that leave everything to the model's server.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns true if no option is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets the temperature.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// Sets the share of likely tokens to choose from.
    pub fn top_p(mut self, top_p: f64) -> Self {
        self.top_p = Some(top_p);
        self
    }

    /// Sets the most tokens of a turn.
    pub fn max_output_tokens(mut self, tokens: u32) -> Self {
        self.max_output_tokens = Some(tokens);
        self
    }

    /// Adds a text at which the model stops.
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// Sets the seed.
    pub fn seed(mut self, seed: i64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the tools that the model may or must call.
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.tool_choice = Some(choice);
        self
    }

    /// Sets whether a turn may call several tools.
    pub fn parallel_tool_calls(mut self, parallel: bool) -> Self {
        self.parallel_tool_calls = Some(parallel);
        self
    }

    /// Sets how much the model reasons.
    pub fn reasoning_effort(mut self, effort: ReasoningEffort) -> Self {
        self.reasoning.get_or_insert_default().effort = Some(effort);
        self
    }

    /// Sets the format of the answer.
    pub fn response_format(mut self, format: ResponseFormat) -> Self {
        self.response_format = Some(format);
        self
    }

    /// Sets a field of the request to the provider's server.
    pub fn provider_field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.provider_fields.insert(name.into(), value.into());
        self
    }
}

impl fmt::Debug for ChatOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<_> = self.provider_fields.keys().collect();
        f.debug_struct("ChatOptions")
            .field("temperature", &self.temperature)
            .field("top_p", &self.top_p)
            .field("max_output_tokens", &self.max_output_tokens)
            .field("stop", &self.stop.len())
            .field("seed", &self.seed)
            .field("tool_choice", &self.tool_choice)
            .field("parallel_tool_calls", &self.parallel_tool_calls)
            .field("reasoning", &self.reasoning)
            .field("response_format", &self.response_format)
            .field("provider_fields", &fields)
            .finish()
    }
}
