use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::IsomorphicTool;

/// What a model is told of a tool that it may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolDefinition {
    /// What the model calls it by.
    pub name: String,
    /// What it does, and when to use it.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of its arguments; `null` if nothing is known of them.
    #[serde(default)]
    pub parameters: Value,
}

impl ToolDefinition {
    /// A tool, with a JSON Schema of its arguments.
    pub fn new(name: impl Into<String>, description: impl Into<String>, parameters: Value) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
            parameters,
        }
    }
}

impl From<&IsomorphicTool> for ToolDefinition {
    fn from(tool: &IsomorphicTool) -> Self {
        Self::new(&tool.name, &tool.description, tool.parameters.clone())
    }
}
