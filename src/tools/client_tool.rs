use serde_json::Value;

use super::{Call, Output, Tool, ToolOptions};
use crate::{
    BoxError, BoxFuture,
    chat::{ToolAuthority, ToolDefinition},
};

/// Makes a tool that the client runs. The server offers it to the model, checks the arguments, and
/// hands the call over. The client's result goes to the model.
///
/// Clients may also bring tools of their own with a request. `client_tool` is for tools that the
/// application's own page always has. The client's result isn't trusted.
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
