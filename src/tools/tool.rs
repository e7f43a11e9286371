use serde_json::Value;

use super::{Call, Output, ToolOptions};
use crate::{
    BoxError, BoxFuture,
    chat::{IsomorphicClientOutput, ToolDefinition},
};

/// A tool that a model may ask for. [`tool_fn`](super::tool_fn) makes one of an async function.
///
/// [`definition`](Self::definition) and [`options`](Self::options) are read once, when the tool is
/// added to the [`Tools`](super::Tools).
///
/// Calls run on tasks of their own. Their futures are dropped when the session ends, or when the
/// timeout is over. A panic counts as a failure. Of a failure, the model and the clients get the
/// message of a [`ToolFailure`](super::ToolFailure), which may be the error or one of its
/// [sources](std::error::Error::source). Any other error becomes a fixed text, and a trace.
pub trait Tool: Send + Sync + 'static {
    /// Returns the definition for the model: a name (1 to 64 of `A-Z a-z 0-9 _ -`), a description,
    /// and a JSON Schema. Arguments are checked against the schema before a call.
    fn definition(&self) -> ToolDefinition;

    /// Returns the options. The default is [`ToolOptions::new`].
    fn options(&self) -> ToolOptions {
        ToolOptions::new()
    }

    /// Returns the question that the user must accept before a call with these arguments, or
    /// `None`.
    ///
    /// A tool with a second half asks before each half.
    fn approval(&self, arguments: &Value) -> Option<String> {
        let _ = arguments;
        None
    }

    /// Runs the tool. The arguments fit the schema.
    fn call(&self, arguments: Value, call: Call) -> BoxFuture<'_, Result<Output, BoxError>>;

    /// Runs the second half, with the client's result of a call that was handed over. Only tools
    /// whose options say [`concludes`](ToolOptions::concludes) have one.
    ///
    /// The parameters fit the schema. They and the output of the first half come from the log; the
    /// output of the client isn't trusted.
    ///
    /// Without a second half, the client's result goes to the model as it is.
    fn conclude(
        &self,
        output: IsomorphicClientOutput,
        call: Call,
    ) -> BoxFuture<'_, Result<Output, BoxError>> {
        let _ = call;
        Box::pin(async move { Ok(Output::from(output.client_output)) })
    }
}
