use std::{collections::HashMap, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use tokio::{process::Command, sync::Mutex};

use crate::{
    ConnectError, McpTools,
    settings::{McpAddress, McpTarget, Settings},
};

/// An MCP server to connect to. The [crate](crate) has an example.
#[derive(Debug)]
#[must_use = "nothing is connected before `connect`"]
pub struct Mcp {
    settings: Settings,
}

impl Mcp {
    /// Creates a server that this program starts, and speaks to over its standard input and output.
    /// It is started again after it died. Its standard error is this program's, unless the command
    /// says otherwise. It has a process group of its own, which is killed if it doesn't end when its input
    /// does, or when the program has ended.
    ///
    /// The command runs with the rights of this program and, unless it says otherwise, with its
    /// environment.
    pub fn stdio(command: impl Into<Command>) -> Self {
        Self::new(McpTarget::Stdio(Mutex::new(command.into())))
    }

    /// Creates a server at an address, over streamable HTTP.
    pub fn http(url: impl Into<String>) -> Self {
        Self::new(McpTarget::Http(McpAddress {
            url: url.into(),
            bearer: None,
            headers: HashMap::new(),
            bad_header: None,
        }))
    }

    fn new(target: McpTarget) -> Self {
        Self {
            settings: Settings {
                target,
                prefix: String::new(),
                only: None,
                approve_destructive: false,
                hints: true,
                shared: false,
                processes: 8,
                connect_timeout: Duration::from_secs(30),
                message_bytes: 4 * 1024 * 1024,
            },
        }
    }

    /// Sets a prefix of the tools' names, as models and clients see them. Default none.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = prefix.into();
        self
    }

    /// Uses only the tools of these names, which are the server's own, without the prefix.
    pub fn only<I>(mut self, names: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        self.settings.only = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Requires an approval of the user before each call of a tool that may destroy something: one
    /// that isn't marked as read-only, nor by `destructiveHint: false`. Tools without hints count as
    /// destructive, as the protocol says.
    pub fn approve_destructive(mut self) -> Self {
        self.settings.approve_destructive = true;
        self
    }

    /// Ignores what the server says of its tools: none may run twice, and all may destroy
    /// something. For servers that aren't trusted.
    pub fn ignore_hints(mut self) -> Self {
        self.settings.hints = false;
        self
    }

    /// Sends all calls to one process at the same time, for servers that keep state between calls. By
    /// default a call over stdio has a process to itself, unless the server speaks version 2026-07-28.
    ///
    /// A question of the server is refused while several calls run, because nothing tells which of
    /// them asks; also after a call was cancelled, which may still ask.
    pub fn shared(mut self) -> Self {
        self.settings.shared = true;
        self
    }

    /// Sets the maximum number of processes. Default 8, at least 1. Further calls wait for one; that
    /// counts in their time.
    pub fn processes(mut self, most: usize) -> Self {
        self.settings.processes = most.max(1);
        self
    }

    /// Sets the time in which the server has to start, to answer and to list its tools. Default 30 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.settings.connect_timeout = timeout;
        self
    }

    /// Sets the maximum size of a message of the server in bytes. Default 4 MiB.
    ///
    /// A larger one ends the connection, and the call fails with an error that names the limit. The size
    /// of a result is also limited by the layer
    /// ([`result_bytes`](unbroken::tools::ToolLayer::result_bytes)), by default to 128 KiB.
    pub fn message_bytes(mut self, most: usize) -> Self {
        self.settings.message_bytes = most;
        self
    }

    /// Sets the bearer token that is sent to a server over HTTP. It has no effect over stdio.
    pub fn bearer(mut self, token: impl Into<String>) -> Self {
        if let McpTarget::Http(http) = &mut self.settings.target {
            http.bearer = Some(token.into());
        }
        self
    }

    /// Sets a header that is sent to a server over HTTP. It has no effect over stdio.
    /// [`connect`](Self::connect) refuses one that HTTP doesn't allow.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let McpTarget::Http(http) = &mut self.settings.target {
            match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
                (Ok(name), Ok(mut value)) => {
                    value.set_sensitive(true);
                    http.headers.insert(name, value);
                }
                _ => http.bad_header = Some(name.to_owned()),
            }
        }
        self
    }

    /// Connects to the server, and lists its tools.
    ///
    /// # Errors
    ///
    /// If the server can't be reached or doesn't answer in time, or if one of its tools can't be
    /// offered to models.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the connection and the server's process.
    pub async fn connect(self) -> Result<McpTools, ConnectError> {
        McpTools::connect(Arc::new(self.settings)).await
    }
}
