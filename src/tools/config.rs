use std::{fmt, sync::Arc, time::Duration};

use super::{ToolSource, Tools, result_media::ResultMedia};

/// The settings that the services of a `ToolLayer` share.
#[derive(Clone)]
pub(super) struct ToolConfig {
    pub(super) tools: Tools,
    pub(super) sources: Vec<Arc<dyn ToolSource>>,
    pub(super) max_iterations: usize,
    pub(super) parallel: usize,
    pub(super) timeout: Duration,
    pub(super) input_timeout: Duration,
    pub(super) result_bytes: usize,
    pub(super) media: ResultMedia,
}

impl ToolConfig {
    /// Returns the tools of an answer that begins now.
    pub(super) fn current_tools(&self) -> Tools {
        let mut tools = self.tools.clone();
        for source in &self.sources {
            tools.extend_where_free(&source.tools());
        }
        tools
    }
}

impl fmt::Debug for ToolConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolConfig")
            .field("tools", &self.tools)
            .field("sources", &self.sources.len())
            .field("max_iterations", &self.max_iterations)
            .field("parallel", &self.parallel)
            .field("timeout", &self.timeout)
            .field("input_timeout", &self.input_timeout)
            .field("result_bytes", &self.result_bytes)
            .field("media", &self.media)
            .finish()
    }
}
