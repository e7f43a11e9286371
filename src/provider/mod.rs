//! Providers: services that answer a chat request with a stream of events.
//!
//! | feature | provider |
//! |---|---|
//! | `openai` | `OpenAi`: any server that speaks `OpenAI`'s Chat Completions |
//! | `openai-responses-upstream` | `ResponsesUpstream`: any server that speaks `OpenAI`'s Responses API |
//! | `ollama` | `Ollama`: Ollama's own protocol |
//! | `unbroken-upstream` | `UnbrokenUpstream`: another server of this library, by its native protocol |
//! | `scripted` | `Scripted`: answers with a given text at a given pace and with given faults; for tests and demos |
//! | | [`by_model()`]: one of several providers, selected by the model's name |
//!
//! # Writing a provider
//!
//! A provider is a tower service; [`chat`](crate::chat#providers) has the contract. There are three
//! ways to write one.
//!
//! **A closure.** [`provider_fn`](crate::chat::provider_fn) makes a provider of a closure that
//! returns a stream:
//!
//! ```
//! use futures_util::stream;
//! use unbroken::chat::{ChatEvent, ChatRequest, ProviderError, provider_fn};
//!
//! let hello = provider_fn(|_: ChatRequest| {
//!     stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello."))])
//! });
//! # fn provider<S>(_: S) where S: tower_service::Service<ChatRequest> + Clone + Send + Sync {}
//! # provider(hello);
//! ```
//!
//! **A service.** A type of your own can hold a client, wait before its stream begins, and refuse a
//! request:
//!
//! ```
//! use std::{future::{Ready, ready}, task::{Context, Poll}};
//!
//! use futures_util::stream;
//! use tower_service::Service;
//! use unbroken::chat::{ChatEvent, ChatRequest, ProviderError};
//!
//! /// Repeats the user's last message, word by word.
//! #[derive(Clone)]
//! struct Echo;
//!
//! impl Service<ChatRequest> for Echo {
//!     type Response = stream::Iter<std::vec::IntoIter<Result<ChatEvent, ProviderError>>>;
//!     type Error = ProviderError;
//!     type Future = Ready<Result<Self::Response, Self::Error>>;
//!
//!     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
//!         Poll::Ready(Ok(()))
//!     }
//!
//!     fn call(&mut self, request: ChatRequest) -> Self::Future {
//!         let Some(message) = request.last_user_message() else {
//!             return ready(Err(ProviderError::new("there is no message to repeat")));
//!         };
//!         let text = message.text();
//!         let words = text.split_inclusive(' ');
//!         let events: Vec<_> = words.map(|word| Ok(ChatEvent::text(word))).collect();
//!         ready(Ok(stream::iter(events)))
//!     }
//! }
//! # fn provider<S>(_: S) where S: tower_service::Service<ChatRequest> + Clone + Send + Sync {}
//! # provider(Echo);
//! ```
//!
//! **A layer.** A layer changes the requests or the answers of another provider. tower's
//! `map_request`, `map_response` and `map_err` are enough for most:
//!
//! ```
//! use futures_util::stream;
//! use tower::ServiceBuilder;
//! use unbroken::chat::{ChatEvent, ChatRequest, ProviderError, provider_fn};
//!
//! # let inner = provider_fn(|_: ChatRequest| {
//! #     stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello."))])
//! # });
//! let brief = ServiceBuilder::new()
//!     .map_request(|mut request: ChatRequest| {
//!         request.system_prompt = Some("Be brief.".into());
//!         request
//!     })
//!     .service(inner);
//! # fn provider<S>(_: S) where S: tower_service::Service<ChatRequest> + Clone + Send + Sync {}
//! # provider(brief);
//! ```
//!
//! # What each provider carries
//!
//! A part or option that a provider has no form for fails the request before its first event, with an error
//! that names it, is not recoverable, and isn't retried. A provider over HTTP whose builder is `lenient`
//! leaves it out instead, with a warning in the traces.
//!
//! | part | `OpenAi` | `ResponsesUpstream` | `Ollama` |
//! |---|---|---|---|
//! | text | a string, and in a list beside media | a string, and in a list beside media | a string |
//! | `image/*` of users | `image_url`, links too | `input_image`, links too | `images`, no links |
//! | `audio/wav`, `audio/mpeg` of users | `input_audio`, no links | no | no |
//! | `application/*`, `text/*` of users | `file` with its name, no links | `input_file`, links too | no |
//! | pictures of the model | `images`, links too | with their items | `images`, no links |
//! | sounds of the model | as their words, the text beside them | no | no |
//! | other media | no | no | no |
//! | media in results of tools (`ToolLayer::media`) | no; by `tool_media` as those of users | as those of users | pictures |
//! | reasoning | by `reasoning_history` | as its state | `thinking` |
//! | provider state | `reasoning_details`, `extra_content` | items: reasoning, tools of the server, pictures | none |
//!
//! | option | `OpenAi` | `ResponsesUpstream` | `Ollama` |
//! |---|---|---|---|
//! | `temperature`, `topP` | `temperature`, `top_p` | `temperature`, `top_p` | the same in `options` |
//! | `seed` | `seed` | no | `options.seed` |
//! | `maxOutputTokens` | `max_tokens`, or `max_completion_tokens` | `max_output_tokens` | `options.num_predict` |
//! | `stop` | at most 4 | no | `options.stop` |
//! | `toolChoice` | `tool_choice`; a forced one needs tools | `tool_choice`; a forced one needs tools | `auto`; `none`, by offering none |
//! | `parallelToolCalls` | `parallel_tool_calls` | `parallel_tool_calls` | `true` only |
//! | `reasoning` | `reasoning_effort` | `reasoning.effort` | `think`: `none`, `low`, `medium`, `high` |
//! | `responseFormat` | `response_format` | `text.format` | `format` |
//! | `providerFields` | fields of the body | fields of the body | `format`, `keep_alive`, `think`, `logprobs`, `top_logprobs`, `truncate`, `shift`: fields of the body; all others: its `options` |
//!
//! `UnbrokenUpstream` sends all of these in their native form: the other server's provider decides, and the other server
//! has to open them.
//!
//! A provider field replaces neither what the provider writes itself (`model`, `messages`, `stream`, `tools`
//! and their like), which is an error, nor a typed option. Options of a request replace fields of the builder.
//!
//! [`ByModel`] passes requests on as they are: the provider that it chooses decides. `Scripted`
//! refuses nothing: it plays its script whatever the parts and options are. The tool layer turns a
//! `toolChoice` that forces a call into `auto` after the first turn.
//!
//! # Layers in between
//!
//! Any tower middleware fits around a provider, between several, and between a provider and
//! [`DurableLayer`](crate::durable::DurableLayer):
//!
//! ```
//! use std::{future::Ready, future::ready, time::Duration};
//!
//! use tower::{BoxError, Layer, ServiceBuilder, load_shed::error::Overloaded, retry::Policy, timeout::error::Elapsed};
//! use unbroken::{access::AnyoneWithTheId, chat::{ChatRequest, ProviderError}, log::ErrorCode, durable::{DurableLayer, ClientFields}, provider::by_model, session::Sessions};
//!
//! /// Repeats a request whose recoverable failure came before the first event.
//! #[derive(Clone)]
//! struct RetryTimes(u32);
//!
//! impl<A> Policy<ChatRequest, A, BoxError> for RetryTimes {
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
//! /// Gives the layers' own errors a message for clients.
//! fn public(error: BoxError) -> BoxError {
//!     let public = if error.is::<Elapsed>() {
//!         ProviderError::new("the model took too long; try again").with_code(ErrorCode::Timeout)
//!     } else if error.is::<Overloaded>() {
//!         ProviderError::new("too many requests at once; try again in a minute")
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
//!     .load_shed() // fails at once if 64 requests wait for their first event
//!     .concurrency_limit(64)
//!     .retry(RetryTimes(1))
//!     .timeout(Duration::from_secs(30)) // for each try
//!     .service(models);
//! let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new())
//!     .client_fields(ClientFields::nothing().model())
//!     .layer(provider);
//! # fn mounts<S>(_: S) where S: Clone + Send + Sync + 'static {}
//! # mounts(chat);
//! ```
//!
//! The errors of these layers appear in the session's terminal event. Without `load_shed`, a start that
//! finds the limit reached is refused with 503, and there is no session.
//!
//! A layer that doesn't know streams covers the service's future, and not the stream. For the
//! providers here that call a server, the future takes until the first event, as their module
//! `http` explains; for a [`provider_fn`](crate::chat::provider_fn) it takes no time at all. The
//! [`Limits`](crate::session::Limits) of the registry cover streams: the number of answers that
//! run, their duration, and the time without an event or a byte of the model's server.

pub mod by_model;
#[cfg(any(
    feature = "openai",
    feature = "ollama",
    feature = "openai-responses-upstream",
    feature = "unbroken-upstream"
))]
#[cfg_attr(
    docsrs,
    doc(cfg(any(
        feature = "openai",
        feature = "ollama",
        feature = "openai-responses-upstream",
        feature = "unbroken-upstream"
    )))
)]
pub mod http;
#[cfg(feature = "ollama")]
#[cfg_attr(docsrs, doc(cfg(feature = "ollama")))]
pub mod ollama;
#[cfg(feature = "openai")]
#[cfg_attr(docsrs, doc(cfg(feature = "openai")))]
pub mod openai;
#[cfg(feature = "openai-responses-upstream")]
#[cfg_attr(docsrs, doc(cfg(feature = "openai-responses-upstream")))]
pub mod openai_responses;
#[cfg(feature = "scripted")]
#[cfg_attr(docsrs, doc(cfg(feature = "scripted")))]
pub mod scripted;
#[cfg(feature = "unbroken-upstream")]
#[cfg_attr(docsrs, doc(cfg(feature = "unbroken-upstream")))]
pub mod unbroken;

#[doc(no_inline)]
pub use self::by_model::{ByModel, by_model};
#[cfg(feature = "ollama")]
#[doc(no_inline)]
pub use self::ollama::Ollama;
#[cfg(feature = "openai")]
#[doc(no_inline)]
pub use self::openai::OpenAi;
#[cfg(feature = "openai-responses-upstream")]
#[doc(no_inline)]
pub use self::openai_responses::ResponsesUpstream;
#[cfg(feature = "scripted")]
#[doc(no_inline)]
pub use self::scripted::Scripted;
#[cfg(feature = "unbroken-upstream")]
#[doc(no_inline)]
pub use self::unbroken::UnbrokenUpstream;

const _: () = {
    use crate::chat::Provider;

    const fn provider<P: Provider + Sync>() {}

    provider::<ByModel>();
    #[cfg(feature = "ollama")]
    provider::<Ollama>();
    #[cfg(feature = "openai")]
    provider::<OpenAi>();
    #[cfg(feature = "openai-responses-upstream")]
    provider::<ResponsesUpstream>();
    #[cfg(feature = "scripted")]
    provider::<Scripted>();
    #[cfg(feature = "unbroken-upstream")]
    provider::<UnbrokenUpstream>();
};
