use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The format of an answer.
///
/// `Debug` leaves the schema out.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResponseFormat {
    /// Text, in whatever form.
    Text,
    /// A JSON object.
    JsonObject,
    /// JSON that a schema describes.
    #[non_exhaustive]
    JsonSchema {
        /// The name of the format: 1 to 64 of `A-Z a-z 0-9 _ -`.
        name: String,
        /// A description for the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// The JSON Schema.
        schema: Value,
        /// Whether the model's server has to enforce the schema, if the client says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
}

impl ResponseFormat {
    /// Creates a format that a JSON Schema describes.
    pub fn json_schema(name: impl Into<String>, schema: Value) -> Self {
        Self::JsonSchema {
            name: name.into(),
            description: None,
            schema,
            strict: None,
        }
    }
}

impl fmt::Debug for ResponseFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("Text"),
            Self::JsonObject => f.write_str("JsonObject"),
            Self::JsonSchema { name, .. } => f
                .debug_struct("JsonSchema")
                .field("name", name)
                .finish_non_exhaustive(),
        }
    }
}
