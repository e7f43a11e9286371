use std::time::Duration;

use super::Tools;

/// The settings that the services of a `ToolLayer` share.
#[derive(Debug, Clone)]
pub(super) struct ToolConfig {
    pub(super) tools: Tools,
    pub(super) max_iterations: usize,
    pub(super) parallel: usize,
    pub(super) timeout: Duration,
    pub(super) input_timeout: Duration,
    pub(super) result_bytes: usize,
}
