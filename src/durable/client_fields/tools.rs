use super::refusal::{closed, not_open, too_large};
use crate::{
    chat::{ChatRequest, IsomorphicTool, json_bytes},
    dialect::Refusal,
};

/// The most tools of a client, and the most bytes of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ToolSizes {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

/// Refuses tools of the client that are closed, too many or too large.
pub(super) fn check(most: Option<ToolSizes>, request: &ChatRequest) -> Result<(), Refusal> {
    let tools = &request.isomorphic_tools;
    if tools.is_empty() {
        return Ok(());
    }
    let Some(most) = most else {
        return Err(closed("tools of the client are", "client_tools"));
    };
    if tools.len() > most.count {
        let (count, most) = (tools.len(), most.count);
        return Err(not_open(format!(
            "the request brings {count} tools, and clients may bring {most}; send fewer"
        )));
    }
    let bytes = |tool: &IsomorphicTool| {
        tool.name.len() + tool.description.len() + json_bytes(&tool.parameters)
    };
    let bytes = tools.iter().map(bytes).sum();
    if bytes > most.bytes {
        return Err(too_large("the tools of the client", bytes, most.bytes));
    }
    Ok(())
}
