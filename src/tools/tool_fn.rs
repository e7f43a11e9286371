use std::{any::type_name, fmt, marker::PhantomData, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Call, Output, Tool, ToolFailure, ToolOptions, schema_of};
use crate::{BoxError, BoxFuture, chat::ToolDefinition};

/// Makes a tool of an async function.
///
/// The function takes arguments that implement `Deserialize` and [`schemars::JsonSchema`], and
/// returns a value that implements `Serialize`: a string, [`Content`](crate::chat::Content) or
/// [`Media`](crate::chat::Media) goes to the model as it is, anything else as JSON.
///
/// The doc comments of the arguments' fields become descriptions for the model. The error is a
/// [`BoxError`], so that `?` works on any error; the model gets the message of a [`ToolFailure`].
///
/// ```
/// use serde::Deserialize;
/// use unbroken::tools::{Call, ToolFailure, Tools, tool_fn};
///
/// #[derive(Deserialize, schemars::JsonSchema)]
/// struct Sum {
///     /// The summands.
///     of: Vec<i64>,
/// }
///
/// let tools = Tools::new().with(
///     tool_fn("sum", "Adds numbers.", |sum: Sum, _: Call| async move {
///         let checked = sum.of.iter().try_fold(0_i64, |a, b| a.checked_add(*b));
///         Ok(checked.ok_or_else(|| ToolFailure::new("the sum is too large"))?)
///     })
///     .idempotent(),
/// );
/// ```
pub fn tool_fn<F, A, R, Fut>(
    name: impl Into<String>,
    description: impl Into<String>,
    run: F,
) -> ToolFn<F, A>
where
    F: Fn(A, Call) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, BoxError>> + Send + 'static,
    A: DeserializeOwned + JsonSchema + 'static,
    R: Serialize + 'static,
{
    ToolFn {
        definition: ToolDefinition::new(name, description, schema_of::<A>()),
        options: ToolOptions::new(),
        approval: None,
        run,
        arguments: PhantomData,
    }
}

/// The tool that [`tool_fn`] makes. By default it is not idempotent and needs no approval.
pub struct ToolFn<F, A> {
    definition: ToolDefinition,
    options: ToolOptions,
    approval: Option<Approval>,
    run: F,
    arguments: PhantomData<fn(A)>,
}

type Approval = Arc<dyn Fn(&Value) -> Option<String> + Send + Sync>;

impl<F, A> ToolFn<F, A> {
    /// Marks the tool as safe to run twice, so that it may run again for a call whose server died.
    pub fn idempotent(mut self) -> Self {
        self.options.idempotent = true;
        self
    }

    /// Sets the time limit of one call, without the time spent waiting for the user.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Requires an approval before each call, asked for with this message.
    pub fn approved(self, message: impl Into<String>) -> Self {
        let message = message.into();
        self.approved_if(move |_| Some(message.clone()))
    }

    /// Requires an approval before calls for which the closure returns a message.
    pub fn approved_if<P>(mut self, message: P) -> Self
    where
        P: Fn(&Value) -> Option<String> + Send + Sync + 'static,
    {
        self.approval = Some(Arc::new(message));
        self
    }
}

impl<F, A, R, Fut> Tool for ToolFn<F, A>
where
    F: Fn(A, Call) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, BoxError>> + Send + 'static,
    A: DeserializeOwned + 'static,
    R: Serialize + 'static,
{
    fn definition(&self) -> ToolDefinition {
        self.definition.clone()
    }

    fn options(&self) -> ToolOptions {
        self.options.clone()
    }

    fn approval(&self, arguments: &Value) -> Option<String> {
        self.approval.as_ref()?(arguments)
    }

    fn call(&self, arguments: Value, call: Call) -> BoxFuture<'_, Result<Output, BoxError>> {
        Box::pin(async move {
            let arguments = serde_json::from_value(arguments).map_err(|error| {
                ToolFailure::new(format!("the arguments don't fit: {error}")).with_source(error)
            })?;
            let given = (self.run)(arguments, call).await?;
            Ok(Output::of(given)?)
        })
    }
}

impl<F, A> fmt::Debug for ToolFn<F, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolFn")
            .field("name", &self.definition.name)
            .field("options", &self.options)
            .field("asks", &self.approval.is_some())
            .field("arguments", &format_args!("{}", type_name::<A>()))
            .finish_non_exhaustive()
    }
}
