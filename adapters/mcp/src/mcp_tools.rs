use std::{fmt, sync::Arc};

use unbroken::tools::{ToolSource, Tools};

use crate::{ConnectError, listed::ListedTools, pool::Pool, settings::Settings};

/// The tools of a connected MCP server. Cheap to clone.
///
/// It is a [`ToolSource`] of a [`ToolLayer`](unbroken::tools::ToolLayer), which has the tools that
/// the server lists at the time. The connection lasts as long as these tools, their sets and their
/// calls do; then the server's process ends.
#[derive(Clone)]
pub struct McpTools {
    listed: Arc<ListedTools>,
    // Also of a server that lists no tools.
    _pool: Arc<Pool>,
}

impl McpTools {
    pub(crate) async fn connect(settings: Arc<Settings>) -> Result<Self, ConnectError> {
        let listed = Arc::new(ListedTools::new());
        let pool = Pool::new(settings, &listed);
        drop(pool.acquire().await?);
        Ok(Self {
            listed,
            _pool: pool,
        })
    }

    /// Returns the tools that the server listed last, for a set that stays as it is:
    /// [`Tools::extend`].
    pub fn tools(&self) -> Tools {
        self.listed.get()
    }
}

impl ToolSource for McpTools {
    fn tools(&self) -> Tools {
        self.listed.get()
    }
}

impl fmt::Debug for McpTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("McpTools").field(&self.listed.get()).finish()
    }
}
