use std::env;

use unbroken::{BoxError, tools::ToolLayer};

use crate::{pictures::TYPES, tools::tools};

/// The most bytes of a tool's result: a picture in base64.
const RESULT_BYTES: usize = 4 * 1024 * 1024;

/// Creates the layer that runs the tools of a chat example: its own, and with the feature `mcp` those
/// of the MCP server whose address is in `MCP_URL`. Tools of that server which may destroy something need an
/// approval. Its pictures are passed on to models of this name that take them in results of tools; for others they
/// are errors.
///
/// # Errors
///
/// Returns an error if the server can't be reached, or if there is an `MCP_URL` and the feature `mcp` is off.
pub async fn tool_layer(model: &str) -> Result<ToolLayer, BoxError> {
    let mut layer = ToolLayer::new(tools());
    if ["scripted", "ollama"].contains(&model) {
        layer = layer.media(TYPES).result_bytes(RESULT_BYTES);
    }
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
