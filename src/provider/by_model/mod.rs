//! A provider that selects one of several by the model's name.
//!
//! ```
//! use futures_util::{StreamExt, stream};
//! use tower::ServiceExt;
//! use unbroken::{
//!     chat::{ChatEvent, ChatRequest, ProviderError, provider_fn},
//!     provider::by_model,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), unbroken::BoxError> {
//! # fn says(text: &'static str) -> impl tower_service::Service<ChatRequest,
//! #     Response = stream::Iter<std::array::IntoIter<Result<ChatEvent, ProviderError>, 1>>,
//! #     Error = std::convert::Infallible, Future: Send> + Clone + Send + Sync + 'static {
//! #     provider_fn(move |_: ChatRequest| stream::iter([Ok(ChatEvent::text(text))]))
//! # }
//! # let (openai, ollama) = (says("From afar."), says("From next door."));
//! let models = by_model()
//!     .model("gpt-5", openai.clone()) // the first also answers where the request names none
//!     .alias("fast", "gpt-5-mini", openai)
//!     .model("llama3.2", ollama);
//!
//! let mut request = ChatRequest::from_user("Where are you?");
//! request.model = Some("llama3.2".into());
//! let mut answer = models.clone().oneshot(request.clone()).await?;
//! assert_eq!(answer.next().await.unwrap()?, ChatEvent::text("From next door."));
//!
//! request.model = Some("gpt-2".into());
//! let error = models.oneshot(request).await.unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "there is no model `gpt-2` here; there are `gpt-5`, `fast`, `llama3.2`"
//! );
//! # Ok(())
//! # }
//! ```
//!
//! [`DurableLayer`](crate::durable::DurableLayer) passes a client's model name on only if
//! [`ClientFields::model`](crate::durable::ClientFields::model) allows it. Otherwise a request
//! names no model, or the model that a layer in between sets.
//!
//! # Readiness
//!
//! The provider is known only with the request. So the router itself is always ready, and waits for
//! the selected provider inside its future. To refuse requests above a limit before the session
//! exists, put the limit around the router. A limit around a single provider makes the session wait
//! or, with `load_shed`, fail.

mod any;
mod router;

pub use self::{
    any::{AnyFuture, AnyStream},
    router::{ByModel, by_model},
};
