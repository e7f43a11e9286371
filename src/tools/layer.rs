use std::{borrow::Cow, sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{ToolService, ToolSource, Tools, config::ToolConfig, result_media::ResultMedia};

/// A layer that runs the tools that a model asks for. The [module](super) has an example.
///
/// Put all tools into one layer. Of two nested layers, the inner one answers every call, and treats
/// the outer one's tools as unknown.
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until it wraps a provider"]
pub struct ToolLayer {
    config: ToolConfig,
}

impl ToolLayer {
    /// Creates a layer that runs these tools. A request may use all of them, unless its
    /// [`enabled_tools`](field@crate::chat::ChatRequest::enabled_tools) names some.
    pub fn new(tools: Tools) -> Self {
        Self {
            config: ToolConfig {
                tools,
                sources: Vec::new(),
                max_iterations: 10,
                parallel: 8,
                timeout: Duration::from_secs(60),
                input_timeout: Duration::from_secs(10 * 60),
                result_bytes: 128 * 1024,
                media: ResultMedia::default(),
            },
        }
    }

    /// Adds tools that may change while the server runs. Each answer has those that there are when it
    /// begins. A tool whose name another tool has is left out, with a trace: the layer's own tools
    /// come first, then the sources in the order in which they were added.
    pub fn source(mut self, source: impl ToolSource) -> Self {
        self.config.sources.push(Arc::new(source));
        self
    }

    #[cfg(test)]
    pub(super) fn into_config(self) -> ToolConfig {
        self.config
    }

    /// Returns the tools that an answer has that begins now.
    pub(super) fn current_tools(&self) -> Tools {
        self.config.current_tools()
    }

    /// Sets the maximum number of calls of the model for one answer. Default 10.
    ///
    /// If the last of them asks for tools too, the tools don't run, and the answer ends with an
    /// error of the code `limit`. A turn that asks only for tools of the client is still handed
    /// over.
    pub fn max_iterations(mut self, most: usize) -> Self {
        self.config.max_iterations = most;
        self
    }

    /// Sets the maximum number of calls of one answer that run at once. Default 8, at least 1.
    /// Other calls wait, in the order of the model's calls.
    ///
    /// A call that waits for the user doesn't count: others run meanwhile, and it resumes when a
    /// slot is free. So all approvals of a turn are asked for at once. Work that a tool does while
    /// its own question is open, or after it dropped the question's future, isn't counted.
    pub fn parallel(mut self, most: usize) -> Self {
        self.config.parallel = most.max(1);
        self
    }

    /// Sets the time limit of one call, without the time spent waiting for the user. Default 60 s.
    ///
    /// A session without events for longer than its [`idle`](field@crate::session::Limits::idle)
    /// limit ends. A tool that takes longer than that must report
    /// [progress](super::Call::progress).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.config.timeout = timeout;
        self
    }

    /// Sets the time to wait for an approval or an answer of the user. Default 10 minutes. The
    /// session's [`age`](field@crate::session::Limits::age) keeps counting meanwhile.
    pub fn input_timeout(mut self, timeout: Duration) -> Self {
        self.config.input_timeout = timeout;
        self
    }

    /// Opens media in results of tools: of these types, whole ones such as `application/pdf`, or ranges
    /// such as `image/*`. By default none is open, and a result with one becomes an error that the model
    /// receives.
    ///
    /// Open what the provider can send in a tool's result: an answer whose provider can't send a medium
    /// ends with an error. A link is open by its type too; the model's server fetches it. A picture takes
    /// four thirds of its bytes of [`result_bytes`](Self::result_bytes).
    ///
    /// Media of a client's own tools are opened by
    /// [`ClientFields::media`](crate::durable::ClientFields::media). A client that sends the whole
    /// conversation with each request sends these media back with it. There they count against the limits
    /// for clients too: [`ClientFields::history`](crate::durable::ClientFields::history);
    /// [`max_count`](crate::durable::ClientMedia::max_count),
    /// [`max_total_bytes`](crate::durable::ClientMedia::max_total_bytes) and
    /// [`links`](crate::durable::ClientMedia::links) of the opened media; and
    /// [`DurableLayer::max_body`](crate::durable::DurableLayer::max_body). Raise them for conversations with
    /// several pictures. A name of more than 255 bytes and a link of more than 8 KiB, which clients can't
    /// send, are an error that the model receives.
    ///
    /// ```
    /// # use unbroken::tools::{ToolLayer, Tools};
    /// let layer = ToolLayer::new(Tools::new())
    ///     .media(["image/png", "image/jpeg"])
    ///     .result_bytes(4 * 1024 * 1024);
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if a type isn't of the form `type/subtype` or `type/*`.
    #[track_caller]
    pub fn media<T>(mut self, types: impl IntoIterator<Item = T>) -> Self
    where
        T: Into<Cow<'static, str>>,
    {
        self.config.media = ResultMedia::of(types.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the maximum size of a result with its media, or of the output that a call hands to the
    /// client, in bytes of JSON. Default 128 KiB.
    ///
    /// A larger result becomes an error that the model receives. Keep the limit below the
    /// [`session_bytes`](field@crate::session::Limits::session_bytes) of the sessions; an event above
    /// that ends the session.
    pub fn result_bytes(mut self, most: usize) -> Self {
        self.config.result_bytes = most;
        self
    }
}

impl<S> Layer<S> for ToolLayer {
    type Service = ToolService<S>;

    fn layer(&self, inner: S) -> ToolService<S> {
        ToolService::new(inner, Arc::new(self.config.clone()))
    }
}
