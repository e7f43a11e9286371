//! A provider that calls a model's server, and a tool that is logged.

use serde_json::Value;
use tower_layer::Layer as _;
use unbroken::{
    BoxError,
    log::SessionId,
    provider::ResponsesUpstream,
    tools::{Call, ToolLayer, ToolService, Tools, tool_fn},
};

use crate::call_log::CallLogWriter;

pub(crate) fn provider(
    url: &str,
    in_background: bool,
    log: CallLogWriter,
) -> Result<ToolService<ResponsesUpstream>, BoxError> {
    let model = ResponsesUpstream::builder()
        .base_url(url)
        .model("m")
        .background(in_background)
        .build()?;
    let now = tool_fn("now", "The time.", move |_: Value, call: Call| {
        log.tool(call.session_id().map_or("", SessionId::as_str));
        async { Ok::<_, BoxError>("noon") }
    });
    Ok(ToolLayer::new(Tools::new().with(now)).layer(model))
}
