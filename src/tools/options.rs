use std::time::Duration;

use crate::chat::ToolAuthority;

/// Options of a [`Tool`](super::Tool).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolOptions {
    /// True if running the tool twice has the same effect as running it once. Only such a tool runs
    /// again for a call whose server died. Default `false`.
    pub idempotent: bool,
    /// The time limit of one call, without the time spent waiting for the user. The layer's
    /// [`timeout`](super::ToolLayer::timeout) if `None`.
    pub timeout: Option<Duration>,
    /// The side that runs the tool, as clients see it in a handoff. Default: the server, which may
    /// hand over half way.
    pub authority: ToolAuthority,
    /// True if the server runs [`Tool::conclude`](super::Tool::conclude) with the client's result.
    /// Default `false`.
    pub concludes: bool,
}

impl ToolOptions {
    /// Creates the defaults: not idempotent, run by the server without a second half, with the
    /// layer's timeout.
    pub fn new() -> Self {
        Self {
            idempotent: false,
            timeout: None,
            authority: ToolAuthority::Server,
            concludes: false,
        }
    }

    /// Marks the tool as safe to run twice.
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Sets the time limit of one call.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the side that runs the tool.
    pub fn authority(mut self, authority: ToolAuthority) -> Self {
        self.authority = authority;
        self
    }

    /// Marks the tool as having a second half.
    pub fn concludes(mut self) -> Self {
        self.concludes = true;
        self
    }
}

impl Default for ToolOptions {
    fn default() -> Self {
        Self::new()
    }
}
