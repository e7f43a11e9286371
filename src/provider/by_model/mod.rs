//! One provider of several, picked by the model's name.
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
//! The names that clients use go through [`DurableLayer`](crate::durable::DurableLayer) only where
//! it was told so ([`ClientFields::model`](crate::durable::ClientFields::model)); otherwise a request names no model,
//! or the one that a layer in between put in.
//!
//! # Readiness
//!
//! Which provider will be asked is known only with the request, so the router itself is always
//! ready, and waits for the picked provider inside its future. A limit on how many may be asked at
//! once that is to refuse before the session exists therefore goes around the router; one that
//! stands around a single provider makes the session wait, or, with `load_shed`, fail.

mod any;
mod router;

pub use self::{
    any::{AnyFuture, AnyStream},
    router::{ByModel, by_model},
};
