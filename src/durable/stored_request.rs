//! The stored form of a request: what recovery calls the provider with again.

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::client_outputs::CLAIMS;
use crate::chat::{ChatEvent, ChatRequest, SessionInfo};

/// Encodes a request.
pub(super) fn store(request: &ChatRequest) -> Result<Bytes, serde_json::Error> {
    // Without the spare capacity, which can be as large again.
    Ok(serde_json::to_vec(request)?.into_boxed_slice().into())
}

/// Decodes a request.
pub(super) fn restore(bytes: &[u8]) -> Result<ChatRequest, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// Returns the calls that the notes mark as claimed by the client only.
pub(super) fn claims(notes: &Map<String, Value>) -> Vec<String> {
    let claims = notes.get(CLAIMS).and_then(Value::as_array);
    let claims = claims.into_iter().flatten().filter_map(Value::as_str);
    claims.map(str::to_owned).collect()
}

/// Encodes the first record of a session: its `session_info`.
pub(super) fn first_record(
    info: &SessionInfo,
    request: &ChatRequest,
    notes: Map<String, Value>,
) -> Bytes {
    let info = session_info(info, request, notes);
    ChatEvent::from(info).to_json().freeze()
}

/// Returns the first event of a session, with the notes. It declares the tools that the request offers to
/// the model, and which of them are the client's.
pub(super) fn session_info(
    info: &SessionInfo,
    request: &ChatRequest,
    notes: Map<String, Value>,
) -> SessionInfo {
    let mut info = info.clone();
    let tools = &mut info.capabilities.tools;
    if let Some(enabled) = &request.enabled_tools {
        tools.retain(|name| enabled.allow(name));
    }
    let declared: HashSet<_> = tools.iter().cloned().collect();
    let brought = request.isomorphic_tools.iter().map(|tool| &tool.name);
    let brought: Vec<_> = brought
        .filter(|name| !declared.contains(*name))
        .cloned()
        .collect();
    tools.extend_from_slice(&brought);
    info.capabilities.client_tools = brought;
    info.extra.extend(notes);
    info
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::{Capabilities, EnabledTools, IsomorphicTool};

    #[test]
    fn the_first_record_tells_whose_the_tools_are() {
        let info = SessionInfo::new(Capabilities::new().tools(["now", "off", "both"]));
        let mut request = ChatRequest::from_user("Hi");
        request.enabled_tools = Some(EnabledTools::Named(vec!["now".into(), "both".into()]));
        let brought = ["map", "both"].map(|name| IsomorphicTool::new(name, "", json!({})));
        let of = |request: &ChatRequest| {
            let record = first_record(&info, request, Map::new());
            let mut event: Value = serde_json::from_slice(&record).unwrap();
            event["capabilities"].take()
        };
        let capabilities = of(&request);
        assert_eq!(capabilities["tools"], json!(["now", "both"]));
        assert_eq!(capabilities.get("clientTools"), None);
        request.isomorphic_tools = brought.to_vec();
        let capabilities = of(&request);
        assert_eq!(capabilities["tools"], json!(["now", "both", "map"]));
        assert_eq!(capabilities["clientTools"], json!(["map"]));
    }

    #[test]
    fn a_request_comes_back_with_the_fields_that_were_opened_by_name() {
        let mut request = ChatRequest::from_user("Hi");
        request.extra.insert("open".into(), json!(1));
        let restored = restore(&store(&request).unwrap()).unwrap();
        assert_eq!(restored.extra, request.extra);
        assert_eq!(restored.messages, request.messages);
    }
}
