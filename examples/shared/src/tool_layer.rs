use std::env;

use unbroken::{BoxError, tools::ToolLayer};

use crate::tools::tools;

/// Creates the layer that runs the tools of a chat example: its own, and with the feature `mcp` those
/// of the MCP server whose address is in `MCP_URL`. Tools of that server which may destroy something need an
/// approval.
///
/// # Errors
///
/// Returns an error if the server can't be reached, or if there is an `MCP_URL` and the feature `mcp` is off.
pub async fn tool_layer() -> Result<ToolLayer, BoxError> {
    let layer = ToolLayer::new(tools());
    let Ok(url) = env::var("MCP_URL") else {
        return Ok(layer);
    };
    of_server(layer, url).await
}

#[cfg(feature = "mcp")]
async fn of_server(layer: ToolLayer, url: String) -> Result<ToolLayer, BoxError> {
    let server = unbroken_mcp::Mcp::http(url)
        .prefix("mcp_")
        .approve_destructive();
    Ok(layer.source(server.connect().await?))
}

// Its tools would be missing in silence.
#[cfg(not(feature = "mcp"))]
async fn of_server(_: ToolLayer, _: String) -> Result<ToolLayer, BoxError> {
    let message = "`MCP_URL` names an MCP server, and this program is built without the feature `mcp`: run \
                   `axum-chat` with `--features mcp`, or unset `MCP_URL`";
    Err(message.into())
}
