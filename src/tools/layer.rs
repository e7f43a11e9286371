use std::{sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{ToolService, Tools, config::ToolConfig};

/// Runs the tools that a model asks for, between the model and whoever reads the answer. The
/// [module](super) has the rest.
///
/// Put all tools into one layer: of two around each other, the inner one answers every call, and says
/// of the outer one's tools that there are none.
#[derive(Debug, Clone)]
#[must_use = "put it around a provider"]
pub struct ToolLayer {
    config: ToolConfig,
}

impl ToolLayer {
    /// Runs these tools, for requests that enable them.
    pub fn new(tools: Tools) -> Self {
        Self {
            config: ToolConfig {
                tools,
                max_iterations: 10,
                parallel: 8,
                timeout: Duration::from_secs(60),
                input_timeout: Duration::from_secs(10 * 60),
                result_bytes: 128 * 1024,
            },
        }
    }

    /// How often the model may be asked for one answer. Default 10. If it asks for tools the last
    /// time too, they are not run, and the answer ends with an error of the code `limit`; tools that
    /// the client runs are handed over all the same.
    pub fn max_iterations(mut self, most: usize) -> Self {
        self.config.max_iterations = most;
        self
    }

    /// How many calls of one answer run at once; others wait for their turn, in the order in which
    /// the model asked for them. Default 8, at least 1.
    ///
    /// A call that waits for a person doesn't run: others do meanwhile, and it goes on when there is a
    /// place again. So all approvals of a turn are asked for at once. What a tool does beside a
    /// question of its own, or after it has dropped the question's future, isn't counted.
    pub fn parallel(mut self, most: usize) -> Self {
        self.config.parallel = most.max(1);
        self
    }

    /// How long one call may take, without the time in which somebody is asked. Default 60 s.
    ///
    /// A session that is silent for longer than its
    /// [`idle`](field@crate::session::Limits::idle) limit ends; a tool that takes longer than that
    /// must tell of its [progress](super::Call::progress).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.config.timeout = timeout;
        self
    }

    /// How long somebody may take for an approval or a question. Default 10 minutes. The session's
    /// [`age`](field@crate::session::Limits::age) goes on meanwhile.
    pub fn input_timeout(mut self, timeout: Duration) -> Self {
        self.config.input_timeout = timeout;
        self
    }

    /// The most bytes of JSON that one result may have, or what one call hands over to the client; a
    /// larger one is an error that the model is told of. Default 128 KiB. Keep it under the
    /// [`event_bytes`](field@crate::session::Limits::event_bytes) of the sessions, or the session
    /// ends.
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
