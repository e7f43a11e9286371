use serde_json::Value;

use super::{Call, Output, ToolOptions};
use crate::{
    BoxError, BoxFuture,
    chat::{IsomorphicClientOutput, ToolDefinition},
};

/// Something that a model may ask for. [`tool_fn`](super::tool_fn) makes one of an async function.
///
/// [`definition`](Self::definition) and [`options`](Self::options) are asked for once, when the tool is
/// put among the [`Tools`](super::Tools).
///
/// The futures run on tasks of their own; they are dropped when the session ends in another way, or
/// the timeout is over. A panic counts as a failure. What the model and the clients are told of a
/// failure is the message of a [`ToolFailure`](super::ToolFailure), wherever that stands among the
/// [sources](std::error::Error::source) of the error; a fixed text for any other, which goes to a
/// trace.
pub trait Tool: Send + Sync + 'static {
    /// What the model is told of it: its name (1 to 64 of `A-Z a-z 0-9 _ -`), what it does, and the
    /// JSON Schema that its arguments are checked against before a call.
    fn definition(&self) -> ToolDefinition;

    /// How it is to be run.
    fn options(&self) -> ToolOptions {
        ToolOptions::new()
    }

    /// What somebody is asked before it runs with these arguments, if anything. It doesn't run unless
    /// they accept.
    ///
    /// Of a tool with a second half it is asked before each half: that somebody allowed the first is
    /// only the client's word by then.
    fn approval(&self, arguments: &Value) -> Option<String> {
        let _ = arguments;
        None
    }

    /// Runs it. The arguments fit the schema.
    fn call(&self, arguments: Value, call: Call) -> BoxFuture<'_, Result<Output, BoxError>>;

    /// Runs its second half, if its options say that it has one, with what the client gave for a call
    /// that was handed over. The parameters fit the schema; everything else is the client's word,
    /// what the first half handed over too.
    ///
    /// Without a second half, what the client gave is what the model is told.
    fn conclude(
        &self,
        output: IsomorphicClientOutput,
        call: Call,
    ) -> BoxFuture<'_, Result<Output, BoxError>> {
        let _ = call;
        Box::pin(async move { Ok(Output::from(output.client_output)) })
    }
}
