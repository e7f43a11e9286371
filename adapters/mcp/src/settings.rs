use std::{collections::HashMap, fmt, time::Duration};

use http::{HeaderName, HeaderValue};
use tokio::{process::Command, sync::Mutex};

/// The settings of a connection to one server.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) target: McpTarget,
    pub(crate) prefix: String,
    pub(crate) only: Option<Vec<String>>,
    pub(crate) approve_destructive: bool,
    pub(crate) hints: bool,
    pub(crate) shared: bool,
    pub(crate) processes: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) message_bytes: usize,
}

/// Where the server is.
pub(crate) enum McpTarget {
    /// A program that is started, again and again.
    Stdio(Mutex<Command>),
    /// An address.
    Http(McpAddress),
}

pub(crate) struct McpAddress {
    pub(crate) url: String,
    pub(crate) bearer: Option<String>,
    pub(crate) headers: HashMap<HeaderName, HeaderValue>,
    // The name of one that HTTP doesn't allow.
    pub(crate) bad_header: Option<String>,
}

// Arguments, environments, addresses and headers may hold secrets.
impl fmt::Debug for McpTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdio(_) => "Stdio",
            Self::Http(_) => "Http",
        })
    }
}
