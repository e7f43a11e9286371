use std::{io, time::Duration};

use unbroken::{BoxError, tools::InvalidTool};

/// The error of an MCP server whose tools can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The program can't be started.
    #[error("the program of the MCP server can't be started")]
    Start(#[source] io::Error),
    /// A header has a name or value that HTTP doesn't allow.
    #[error("the header {name:?} for the MCP server has a name or value that HTTP doesn't allow")]
    Header {
        /// The header's name.
        name: String,
    },
    /// The server doesn't answer as an MCP server does.
    #[error("the MCP server doesn't answer as one")]
    Handshake(#[source] BoxError),
    /// The server can't list its tools.
    #[error("the MCP server can't list its tools")]
    List(#[source] BoxError),
    /// The server has more tools than are taken.
    #[error("the MCP server lists more than {most} tools")]
    TooMany {
        /// The maximum number.
        most: usize,
    },
    /// The server has no tool of a name that [`Mcp::only`](crate::Mcp::only) has.
    #[error("the MCP server has no tool {name:?}")]
    Absent {
        /// The name.
        name: String,
    },
    /// A model can't be offered a tool: leave it out by [`Mcp::only`](crate::Mcp::only), or choose
    /// another [prefix](crate::Mcp::prefix).
    #[error(
        "a tool of the MCP server can't be offered; choose others by `only`, or another `prefix`"
    )]
    Tool(#[from] InvalidTool),
    /// The server didn't answer in time.
    #[error("the MCP server didn't answer within {within:?}")]
    TimedOut {
        /// The time that it had.
        within: Duration,
    },
}
