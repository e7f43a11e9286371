//! Providers: what answers, by feature.
//!
//! | feature | provider |
//! |---|---|
//! | `openai` | `OpenAi`: any server that speaks `OpenAI`'s Chat Completions |
//! | `scripted` | `Scripted`: says a given text at a given pace, with given faults; for tests and demos |
//!
//! What a provider is, and how to write one, stands in [`chat`](crate::chat#providers);
//! [`provider_fn`](crate::chat::provider_fn) makes one of a closure.

#[cfg(feature = "openai")]
#[cfg_attr(docsrs, doc(cfg(feature = "openai")))]
pub mod openai;
#[cfg(feature = "scripted")]
#[cfg_attr(docsrs, doc(cfg(feature = "scripted")))]
pub mod scripted;

#[cfg(feature = "openai")]
#[doc(no_inline)]
pub use self::openai::OpenAi;
#[cfg(feature = "scripted")]
#[doc(no_inline)]
pub use self::scripted::Scripted;

#[cfg(any(feature = "openai", feature = "scripted"))]
const _: () = {
    use futures_core::TryStream;
    use tower_service::Service;

    use crate::{
        BoxError,
        chat::{ChatEvent, ChatRequest},
    };

    const fn provider<P>()
    where
        P: Service<ChatRequest> + Clone + Send + Sync + 'static,
        P::Error: Into<BoxError>,
        P::Future: Send,
        P::Response: TryStream<Ok = ChatEvent> + Send + 'static,
        <P::Response as TryStream>::Error: Into<BoxError>,
    {
    }

    #[cfg(feature = "openai")]
    provider::<OpenAi>();
    #[cfg(feature = "scripted")]
    provider::<Scripted>();
};
