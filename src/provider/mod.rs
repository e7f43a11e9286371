//! Providers: what answers, by feature.
//!
//! | feature | provider |
//! |---|---|
//! | `openai` | `OpenAi`: any server that speaks `OpenAI`'s Chat Completions |
//! | `ollama` | `Ollama`: Ollama's own protocol |
//! | `scripted` | `Scripted`: says a given text at a given pace, with given faults; for tests and demos |
//! | | [`by_model()`]: one of several, by the model's name |
//!
//! What a provider is, and how to write one, stands in [`chat`](crate::chat#providers);
//! [`provider_fn`](crate::chat::provider_fn) makes one of a closure.
//!
//! # Layers in between
//!
//! Any tower middleware fits around a provider, between several, and between one and
//! [`DurableLayer`](crate::durable::DurableLayer):
//!
//! ```
//! use std::{future::Ready, future::ready, time::Duration};
//!
//! use tower::{BoxError, ServiceBuilder, load_shed::error::Overloaded, retry::Policy, timeout::error::Elapsed};
//! use tower_layer::Layer;
//! use unbroken::{access::AnyoneWithTheId, chat::{ChatRequest, ProviderError}, log::ErrorCode, durable::{DurableLayer, ClientFields}, provider::by_model, session::Sessions};
//!
//! /// So many tries more, where a failure before the first event may be mended by one.
//! #[derive(Clone)]
//! struct Again(u32);
//!
//! impl<A> Policy<ChatRequest, A, BoxError> for Again {
//!     type Future = Ready<()>;
//!
//!     fn retry(
//!         &mut self,
//!         _: &mut ChatRequest,
//!         answer: &mut Result<A, BoxError>,
//!     ) -> Option<Ready<()>> {
//!         let failure = ProviderError::find(&**answer.as_ref().err()?)?;
//!         let again = failure.is_recoverable() && self.0 > 0;
//!         self.0 -= u32::from(again);
//!         again.then(|| ready(()))
//!     }
//!
//!     fn clone_request(&mut self, request: &ChatRequest) -> Option<ChatRequest> {
//!         Some(request.clone())
//!     }
//! }
//!
//! /// What clients hear of the layers' own errors, which they would otherwise hear nothing of.
//! fn public(error: BoxError) -> BoxError {
//!     let public = if error.is::<Elapsed>() {
//!         ProviderError::new("the model took too long; try again").with_code(ErrorCode::Timeout)
//!     } else if error.is::<Overloaded>() {
//!         ProviderError::new("too many are asking at once; try again in a minute")
//!     } else {
//!         return error;
//!     };
//!     public.recoverable(true).with_source(error).into()
//! }
//!
//! # let (large, small) = (by_model(), by_model());
//! let models = by_model().model("large", large).model("small", small);
//! let provider = ServiceBuilder::new()
//!     .map_err(public)
//!     .load_shed() // who comes when 64 are waiting for their first event is told so …
//!     .concurrency_limit(64)
//!     .retry(Again(1))
//!     .timeout(Duration::from_secs(30)) // of each try
//!     .service(models);
//! let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
//!     .client_fields(ClientFields::nothing().model())
//!     .layer(provider);
//! # fn mounts<S>(_: S) where S: Clone + Send + Sync + 'static {}
//! # mounts(chat);
//! ```
//!
//! … in the session's terminal event. Without `load_shed` a start that finds the limit reached is
//! refused with 503, and there is no session.
//!
//! The trap: a layer that knows nothing of streams covers the service's future and not the stream
//! behind it. Of the providers here that ask a server, that is the time until the first event, as
//! their module `http` has it; of a [`provider_fn`](crate::chat::provider_fn) it is no time
//! at all. How many answers run, how long, and how long they may be silent is for the
//! [`Limits`](crate::session::Limits) of the registry to say, which cover streams.

pub mod by_model;
#[cfg(any(feature = "openai", feature = "ollama"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "openai", feature = "ollama"))))]
pub mod http;
#[cfg(feature = "ollama")]
#[cfg_attr(docsrs, doc(cfg(feature = "ollama")))]
pub mod ollama;
#[cfg(feature = "openai")]
#[cfg_attr(docsrs, doc(cfg(feature = "openai")))]
pub mod openai;
#[cfg(feature = "scripted")]
#[cfg_attr(docsrs, doc(cfg(feature = "scripted")))]
pub mod scripted;

#[doc(no_inline)]
pub use self::by_model::{ByModel, by_model};
#[cfg(feature = "ollama")]
#[doc(no_inline)]
pub use self::ollama::Ollama;
#[cfg(feature = "openai")]
#[doc(no_inline)]
pub use self::openai::OpenAi;
#[cfg(feature = "scripted")]
#[doc(no_inline)]
pub use self::scripted::Scripted;

const _: () = {
    use crate::chat::Provider;

    const fn provider<P: Provider + Sync>() {}

    provider::<ByModel>();
    #[cfg(feature = "ollama")]
    provider::<Ollama>();
    #[cfg(feature = "openai")]
    provider::<OpenAi>();
    #[cfg(feature = "scripted")]
    provider::<Scripted>();
};
