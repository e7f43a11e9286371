use std::{
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use genai::Client;
use tower_service::Service;
use unbroken::chat::{ChatRequest, ProviderError};

use crate::{future::GenAiFuture, request::Unsendable};

/// A provider that calls a model through genai. The [crate](crate) has an example.
///
/// Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct GenAi {
    pub(crate) client: Client,
    pub(crate) model: Option<String>,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_turn_bytes: usize,
    pub(crate) unsupported: Unsendable,
    pub(crate) prefill: bool,
}

impl GenAi {
    /// Creates a provider over a client. A request has to name its model, unless there is a
    /// [default](Self::model).
    pub fn new(client: Client) -> Self {
        Self {
            client,
            model: None,
            idle_timeout: Duration::from_secs(120),
            max_turn_bytes: 16 << 20,
            unsupported: Unsendable::Refuse,
            prefill: false,
        }
    }

    /// Sets the model that answers if the request names none: a name as genai reads it, such as
    /// `claude-sonnet-4-5` or `groq::llama-3.3-70b-versatile`.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Sets the maximum silence of the server: the time before its response, and the time without a byte of
    /// it. Default 2 minutes.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets the maximum size in bytes of the calls, the signatures and the encoded sound of a turn together. A call
    /// counts as its id, its name, its arguments, and 64 bytes. Default 16 MiB.
    pub fn max_turn_bytes(mut self, max: usize) -> Self {
        self.max_turn_bytes = max;
        self
    }

    /// Sets whether the model goes on from a partial answer at the end of the messages
    /// ([`RecoveryWay::Resume`](unbroken::durable::RecoveryWay::Resume)), as older models of Claude do. Default false: others
    /// refuse such a request or begin anew, and the provider
    /// [declines](ProviderError::cannot_continue).
    ///
    /// Anthropic's server refuses space at the end of such a message. It isn't sent, and isn't told twice where the
    /// model says it again.
    pub fn prefill(mut self, continues: bool) -> Self {
        self.prefill = continues;
        self
    }

    /// Leaves parts and options out for which genai or the server has no form, with a warning in the traces. By
    /// default a request with one fails before its first event, with an error that names it.
    pub fn lenient(mut self) -> Self {
        self.unsupported = Unsendable::LeaveOut;
        self
    }
}

impl Service<ChatRequest> for GenAi {
    type Response = crate::GenAiStream;
    type Error = ProviderError;
    type Future = GenAiFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProviderError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, chat: ChatRequest) -> GenAiFuture {
        GenAiFuture::new(self.clone(), chat)
    }
}

impl fmt::Debug for GenAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenAi")
            .field("model", &self.model)
            .field("idle_timeout", &self.idle_timeout)
            .field("unsupported", &self.unsupported)
            .finish_non_exhaustive()
    }
}
