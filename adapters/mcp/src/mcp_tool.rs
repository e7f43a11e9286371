use std::{sync::Arc, time::Duration};

use rmcp::model::{
    CallToolRequestParams, CallToolResult, InputRequest, InputRequiredResult, InputResponses,
    JsonObject, ServerResult, Tool as ServerTool,
};
use serde_json::Value;
use unbroken::{
    BoxError, BoxFuture,
    chat::{Schema, ToolDefinition},
    tools::{Call, Output, Tool, ToolFailure, ToolOptions},
};

use crate::{
    call_error::{CallError, EarlierRun},
    handler::elicit,
    pool::Pool,
    questions::Questions,
    text, tool_output,
};

/// The maximum number of times that a server may ask before it gives its result.
const ROUNDS: usize = 20;
/// The time before a call is repeated that the server wants repeated and asks nothing for.
const BACK_OFF: Duration = Duration::from_millis(200);

/// A tool of a server.
pub(crate) struct McpTool {
    pool: Arc<Pool>,
    definition: ToolDefinition,
    // The server's own name.
    name: String,
    title: String,
    idempotent: bool,
    destructive: bool,
    output: Option<Schema>,
}

impl McpTool {
    pub(crate) fn new(tool: ServerTool, pool: Arc<Pool>) -> Self {
        let settings = &pool.settings;
        let hints = tool
            .annotations
            .filter(|_| settings.hints)
            .unwrap_or_default();
        let reads = hints.read_only_hint == Some(true);
        let output = tool.output_schema.and_then(|schema| {
            let schema = Schema::new(&Value::Object((*schema).clone()));
            let warn = |error| tracing::warn!(%error, tool = &*tool.name, "results aren't checked");
            schema.map_err(warn).ok()
        });
        Self {
            definition: ToolDefinition::new(
                format!("{}{}", settings.prefix, tool.name),
                tool.description.unwrap_or_default(),
                Value::Object((*tool.input_schema).clone()),
            ),
            title: [tool.title, hints.title.clone()]
                .into_iter()
                .flatten()
                .map(|title| text::title(&title))
                .find(|title| !title.is_empty())
                .unwrap_or_else(|| text::title(&tool.name)),
            name: tool.name.into(),
            idempotent: reads || hints.is_idempotent(),
            destructive: !reads && hints.is_destructive(),
            output,
            pool,
        }
    }

    /// Calls the tool, over another connection if the first one turns out to be lost and nothing can
    /// run twice.
    async fn run(&self, arguments: JsonObject, call: &Call) -> Result<CallToolResult, ToolFailure> {
        let questions = Arc::default();
        let begin = CallToolRequestParams::new(self.name.clone()).with_arguments(arguments);
        let mut params = begin.clone();
        let error = match self.attempt(&mut params, call, &questions).await {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        if !error.may_repeat(self.idempotent) {
            return Err(error.into_failure(self.idempotent, earlier(&params)));
        }
        let before = if error.may_have_run() {
            EarlierRun::Lost
        } else {
            earlier(&params)
        };
        tracing::warn!(%error, tool = self.name, "a call is sent again");
        // Any other tool goes on where it was: from the beginning, it would run twice.
        if self.idempotent {
            params = begin;
            questions.repeat();
        }
        let second = self.attempt(&mut params, call, &questions).await;
        second.map_err(|error| {
            let before = match before {
                EarlierRun::None => earlier(&params),
                before => before,
            };
            error.into_failure(self.idempotent, before)
        })
    }

    /// Sends the call until it has a result. `params` are those of the last time.
    async fn attempt(
        &self,
        params: &mut CallToolRequestParams,
        call: &Call,
        questions: &Arc<Questions>,
    ) -> Result<CallToolResult, CallError> {
        let connection = self.pool.acquire().await;
        let connection = connection.map_err(|error| CallError::Unreachable(error.into()))?;
        for _ in 0..ROUNDS {
            match connection.call(params.clone(), call, questions).await? {
                ServerResult::CallToolResult(result) => return Ok(result),
                // A result without content.
                ServerResult::EmptyResult(_) | ServerResult::TaskAckResult(_) => {
                    return Ok(CallToolResult::default());
                }
                ServerResult::InputRequiredResult(required) => {
                    let (responses, state) = answer(required, call, questions).await?;
                    params.input_responses = responses;
                    params.request_state = state;
                }
                _ => {
                    let unknown = "the server's result has a form that this server can't read";
                    return Err(CallError::Unreadable(unknown));
                }
            }
        }
        let rounds = "the server asked more often than is allowed for one call";
        Err(CallError::Unreadable(rounds))
    }
}

/// Returns what the server did for a call before it was sent with these parameters.
fn earlier(params: &CallToolRequestParams) -> EarlierRun {
    if params.input_responses.is_some() || params.request_state.is_some() {
        EarlierRun::Asked
    } else {
        EarlierRun::None
    }
}

/// Gets what the server wants before it goes on.
async fn answer(
    required: InputRequiredResult,
    call: &Call,
    questions: &Questions,
) -> Result<(Option<InputResponses>, Option<String>), CallError> {
    let Some(requests) = required.input_requests else {
        tokio::time::sleep(BACK_OFF).await;
        return Ok((None, required.request_state));
    };
    let mut responses = InputResponses::new();
    for (key, request) in requests {
        let InputRequest::Elicitation(request) = request else {
            let other = "the server wants something that isn't offered to it";
            return Err(CallError::Unreadable(other));
        };
        let answer = elicit(request.params, call, questions).await;
        let response = serde_json::to_value(answer.map_err(CallError::Unreadable)?);
        let unwritable = CallError::Unreadable("an answer can't be written");
        responses.insert(key, response.map_err(|_| unwritable)?);
    }
    Ok((Some(responses), required.request_state))
}

impl Tool for McpTool {
    fn definition(&self) -> ToolDefinition {
        self.definition.clone()
    }

    fn options(&self) -> ToolOptions {
        let mut options = ToolOptions::new();
        options.idempotent = self.idempotent;
        options
    }

    fn approval(&self, _: &Value) -> Option<String> {
        let asks = self.pool.settings.approve_destructive && self.destructive;
        asks.then(|| format!("Allow “{}”? It may change or delete something.", self.title))
    }

    fn call(&self, arguments: Value, call: Call) -> BoxFuture<'_, Result<Output, BoxError>> {
        Box::pin(async move {
            let arguments = match arguments {
                Value::Object(arguments) => arguments,
                Value::Null => JsonObject::new(),
                _ => return Err(ToolFailure::new("the arguments must be an object").into()),
            };
            let result = self.run(arguments, &call).await?;
            Ok(tool_output::of(result, self.output.as_ref())?)
        })
    }
}
