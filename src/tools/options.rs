use std::time::Duration;

use crate::chat::ToolAuthority;

/// How a [`Tool`](super::Tool) is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolOptions {
    /// Whether running it twice is the same as running it once. Only such a tool is run again for a
    /// call whose server died. Default `false`.
    pub idempotent: bool,
    /// How long one call may take, without the time in which somebody is asked. The layer's
    /// [`timeout`](super::ToolLayer::timeout) if `None`.
    pub timeout: Option<Duration>,
    /// Who runs it, as clients are told where it is handed over. Default: the server, which may hand
    /// over half way.
    pub authority: ToolAuthority,
    /// Whether the server goes on with what the client gives for it:
    /// [`Tool::conclude`](super::Tool::conclude). Default `false`.
    pub concludes: bool,
}

impl ToolOptions {
    /// Not idempotent, run by the server, in one go, within the layer's timeout.
    pub fn new() -> Self {
        Self {
            idempotent: false,
            timeout: None,
            authority: ToolAuthority::Server,
            concludes: false,
        }
    }

    /// The same, of a tool that may run twice.
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// The same, with a timeout of its own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same, run by somebody else.
    pub fn authority(mut self, authority: ToolAuthority) -> Self {
        self.authority = authority;
        self
    }

    /// The same, of a tool that has a second half.
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
