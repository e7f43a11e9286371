use std::{fmt, marker::PhantomData};

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Call, Output, Tool, ToolFailure, ToolOptions, schema_of};
use crate::{
    BoxError, BoxFuture,
    chat::{IsomorphicClientOutput, ToolDefinition},
};

/// Makes a tool of two halves with the client in between: the output of `first` is handed to the
/// client, the client does its part, and `second` makes the result for the model.
///
/// `second` runs with another request, perhaps on another server. The client's
/// [`client_output`](IsomorphicClientOutput::client_output) isn't trusted. The parameters, and the
/// output of `first` as [`cached_handoff`](IsomorphicClientOutput::cached_handoff), come from the log
/// of the session that ran `first`, not from the client.
///
/// ```
/// use serde::Deserialize;
/// use serde_json::json;
/// use unbroken::tools::{Call, Tools, handoff_fn};
///
/// #[derive(Deserialize, schemars::JsonSchema)]
/// struct Flight {
///     number: String,
/// }
///
/// let seats = handoff_fn(
///     "choose_seat",
///     "Lets the user choose a seat.",
///     |_: Flight, _: Call| async move { Ok(json!({"free": ["1A", "2C"]})) },
///     |chosen, _: Call| async move { Ok(format!("booked {}", chosen.client_output)) },
/// );
/// let tools = Tools::new().with(seats);
/// ```
pub fn handoff_fn<F, A, G, R1, R2, Fut1, Fut2>(
    name: impl Into<String>,
    description: impl Into<String>,
    first: F,
    second: G,
) -> HandoffFn<F, G, A>
where
    F: Fn(A, Call) -> Fut1 + Send + Sync + 'static,
    Fut1: Future<Output = Result<R1, BoxError>> + Send + 'static,
    G: Fn(IsomorphicClientOutput, Call) -> Fut2 + Send + Sync + 'static,
    Fut2: Future<Output = Result<R2, BoxError>> + Send + 'static,
    A: DeserializeOwned + JsonSchema + 'static,
    R1: Serialize + 'static,
    R2: Serialize + 'static,
{
    HandoffFn {
        definition: ToolDefinition::new(name, description, schema_of::<A>()),
        options: ToolOptions::new().concludes(),
        first,
        second,
        arguments: PhantomData,
    }
}

/// The tool that [`handoff_fn`] makes. By default neither half is idempotent.
pub struct HandoffFn<F, G, A> {
    definition: ToolDefinition,
    options: ToolOptions,
    first: F,
    second: G,
    arguments: PhantomData<fn(A)>,
}

impl<F, G, A> HandoffFn<F, G, A> {
    /// Marks both halves as safe to run twice.
    pub fn idempotent(mut self) -> Self {
        self.options.idempotent = true;
        self
    }
}

impl<F, A, G, R1, R2, Fut1, Fut2> Tool for HandoffFn<F, G, A>
where
    F: Fn(A, Call) -> Fut1 + Send + Sync + 'static,
    Fut1: Future<Output = Result<R1, BoxError>> + Send + 'static,
    G: Fn(IsomorphicClientOutput, Call) -> Fut2 + Send + Sync + 'static,
    Fut2: Future<Output = Result<R2, BoxError>> + Send + 'static,
    A: DeserializeOwned + 'static,
    R1: Serialize + 'static,
    R2: Serialize + 'static,
{
    fn definition(&self) -> ToolDefinition {
        self.definition.clone()
    }

    fn options(&self) -> ToolOptions {
        self.options.clone()
    }

    fn call(&self, arguments: Value, call: Call) -> BoxFuture<'_, Result<Output, BoxError>> {
        Box::pin(async move {
            let arguments = serde_json::from_value(arguments).map_err(|error| {
                ToolFailure::new(format!("the arguments don't fit: {error}")).with_source(error)
            })?;
            let given = (self.first)(arguments, call).await?;
            Ok(Output::HandOver(serde_json::to_value(given)?))
        })
    }

    fn conclude(
        &self,
        output: IsomorphicClientOutput,
        call: Call,
    ) -> BoxFuture<'_, Result<Output, BoxError>> {
        Box::pin(async move {
            let given = (self.second)(output, call).await?;
            Ok(Output::of(given)?)
        })
    }
}

impl<F, G, A> fmt::Debug for HandoffFn<F, G, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandoffFn")
            .field("name", &self.definition.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
