use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::IsomorphicTool;

/// A tool as a model sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolDefinition {
    /// The name by which the model calls it.
    pub name: String,
    /// A description of what it does and when to use it.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of its arguments; `null` if there is none.
    #[serde(default)]
    pub parameters: Value,
}

impl ToolDefinition {
    /// Creates a definition with a JSON Schema of the arguments.
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
