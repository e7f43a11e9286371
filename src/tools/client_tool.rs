use serde_json::Value;

use super::{Call, Output, Tool, ToolOptions};
use crate::{
    BoxError, BoxFuture,
    chat::{ToolAuthority, ToolDefinition},
};

/// Makes a tool that the client runs: the server tells the model of it, checks the arguments, and
/// hands the call over. What the client gives for it is what the model is told.
///
/// Clients may bring tools of their own along with a request; this one is for what the application's
/// own page always has. Everything after the handoff is the client's word.
///
/// ```
/// use serde_json::json;
/// use unbroken::tools::{Tools, client_tool};
///
/// let tools = Tools::new().with(client_tool(
///     "local_time",
///     "The time of day where the user is.",
///     json!({"type": "object", "properties": {}}),
/// ));
/// assert_eq!(tools.names().collect::<Vec<_>>(), ["local_time"]);
/// ```
pub fn client_tool(
    name: impl Into<String>,
    description: impl Into<String>,
    parameters: Value,
) -> ClientTool {
    ClientTool {
        definition: ToolDefinition::new(name, description, parameters),
    }
}

/// The tool that [`client_tool`] makes.
#[derive(Debug, Clone)]
pub struct ClientTool {
    definition: ToolDefinition,
}

impl Tool for ClientTool {
    fn definition(&self) -> ToolDefinition {
        self.definition.clone()
    }

    fn options(&self) -> ToolOptions {
        ToolOptions::new()
            .idempotent()
            .authority(ToolAuthority::Client)
    }

    fn call(&self, _: Value, _: Call) -> BoxFuture<'_, Result<Output, BoxError>> {
        Box::pin(async { Ok(Output::HandOver(Value::Null)) })
    }
}
