//! The tools of [MCP](https://modelcontextprotocol.io) servers for `unbroken`.
//!
//! A server is a program that is started here, or an address. Its tools become a
//! [`ToolSource`](unbroken::tools::ToolSource) of the [`ToolLayer`](unbroken::tools::ToolLayer):
//!
//! ```no_run
//! use tokio::process::Command;
//! use unbroken::tools::{ToolLayer, Tools};
//! use unbroken_mcp::{ConnectError, Mcp};
//!
//! async fn tools() -> Result<ToolLayer, ConnectError> {
//!     let mut files = Command::new("npx");
//!     files.args(["-y", "@modelcontextprotocol/server-filesystem", "/srv/files"]);
//!     let files = Mcp::stdio(files)
//!         .prefix("files_")
//!         .approve_destructive()
//!         .connect()
//!         .await?;
//!     let tickets = Mcp::http("https://mcp.example.com/mcp")
//!         .bearer("the token")
//!         .only(["search", "create"])
//!         .prefix("tickets_")
//!         .connect()
//!         .await?;
//!     Ok(ToolLayer::new(Tools::new()).source(files).source(tickets))
//! }
//! ```
//!
//! [`DurableLayer::tools`](unbroken::DurableLayer::tools) with a clone of the layer declares them to clients.
//!
//! # What becomes of it
//!
//! | of the server | here |
//! |---|---|
//! | name, description, input schema | the tool's [`definition`](unbroken::tools::Tool::definition); arguments are checked before a call |
//! | `readOnlyHint`, `idempotentHint` | the tool is [idempotent](unbroken::tools::ToolOptions::idempotent): a call that was cut off is repeated |
//! | `destructiveHint` | an approval, with [`Mcp::approve_destructive`] |
//! | `notifications/progress` | `tool_progress` |
//! | `elicitation/create` with a form, or `input_required` | `input_request`, which any device answers, also after another server took over |
//! | text, resources as text, links | the text of the result |
//! | pictures, sounds, resources as bytes | media of the result, of the types that [`ToolLayer::media`](unbroken::tools::ToolLayer::media) opens; by default an error that names them |
//! | `structuredContent` | JSON in the result, unless a text block is the same; checked against `outputSchema` |
//! | `isError`, errors of JSON-RPC | `tool_error`, which the model receives; it names media beside it |
//! | `notifications/tools/list_changed` | the next answer has the new tools |
//!
//! Sampling, roots and forms at a web address are not offered to servers.
//!
//! # Calls that are cut off
//!
//! A call whose future is dropped (the session was aborted, or the time is over) is cancelled by
//! `notifications/cancelled`. If the server dies during a call, or the connection to it, an
//! idempotent tool is called once more over a new connection. Of any other tool the model is told that
//! the outcome is unknown; it is never called twice. The next call starts the server again.
//!
//! A call that is refused by a status of HTTP isn't sent again: of 4xx the model is told that nothing
//! was run, of 5xx that the outcome is unknown.
//!
//! A server over HTTP that has restarted should answer 404 to its former session; then a new one begins.
//! Some answer in a way that no call can be matched with. Such a call ends at its time limit, and the next
//! one has a new session: before version 2026-07-28, a connection over which a call was given up is not
//! used again, unless it is [shared](Mcp::shared).
//!
//! # Questions of servers
//!
//! The protocol before version 2026-07-28 doesn't say which call a question belongs to, except over
//! HTTP by the stream that it arrives on. So that no user is asked what another user's call wants to
//! know, a call over stdio has a process to itself while it runs. Idle processes are used again, and at
//! most [`Mcp::processes`] run. A server that keeps state between calls needs [`Mcp::shared`]: then
//! all calls share one process, and a question is refused while several calls run.
//!
//! A call may ask 20 questions, with texts of 8 KiB and forms of 32 KiB. Longer ones are refused. The text of
//! a progress is cut to 1 KiB, and of steps that come fast, the newest is passed on.

mod address_client;
mod call_error;
mod connect_error;
mod connection;
mod handler;
mod listed;
mod mcp;
mod mcp_tool;
mod mcp_tools;
mod pool;
mod progress;
mod questions;
mod renewal;
mod running_requests;
mod settings;
mod stdio;
mod text;
mod tool_output;

pub use self::{connect_error::ConnectError, mcp::Mcp, mcp_tools::McpTools};

const _: () = {
    const fn shared<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<McpTools>();
};
