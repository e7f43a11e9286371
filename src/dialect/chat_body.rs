//! The body of a start that is a chat request as it is, in the dialects without a form of their own.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Element, Problem, Refusal, RequestLimits,
    body::{self, EXAMPLE},
    unread,
};
use crate::{
    chat::{ChatRequest, EnabledTools, Message, Part, has_reserved_name},
    log::ChatId,
};

const WHAT: &str = "a chat request";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChatRequestSubject {
    #[serde(default, with = "crate::chat::as_json::chat_id")]
    chat_id: Option<ChatId>,
}

/// The options of a body as they are.
#[derive(Deserialize)]
struct GivenOptions {
    #[serde(default)]
    options: Value,
}

/// Returns the conversation that a body names.
pub(super) fn chat_id(body: &Bytes) -> Result<Option<ChatId>, Refusal> {
    let subject: ChatRequestSubject = body::read_subject(body, WHAT, EXAMPLE)?;
    Ok(subject.chat_id)
}

/// Decodes a body within the limits on its elements. Returns the number of its JSON values beside it.
pub(super) fn read(body: &Bytes, limits: &RequestLimits) -> Result<(ChatRequest, usize), Refusal> {
    let read = body::read(body, limits, WHAT, EXAMPLE, |_: &ChatRequest| 0);
    let (request, values) = read.map_err(|refusal| {
        let of_part = || Some(Refusal::new(Problem::WrongShape, malformed_part(body)?));
        let is_json = refusal.problem == Problem::WrongShape;
        is_json.then(of_part).flatten().unwrap_or(refusal)
    })?;
    let given: GivenOptions = body::read_subject(body, WHAT, EXAMPLE)?;
    unread::check_options(&given.options)?;
    let parts = request.messages.iter().map(parts);
    limits.check(Element::Message, request.messages.len())?;
    limits.check(Element::Part, parts.sum())?;
    check_tools(&request, limits)?;
    // A request with outputs of client tools may leave the conversation to the server.
    if request.messages.is_empty() && request.isomorphic_client_outputs.is_empty() {
        return Err(Refusal::new(
            Problem::WrongShape,
            format!("the chat request has no message to answer; send {EXAMPLE}"),
        ));
    }
    Ok((request, values))
}

/// Returns the number of parts of a message. Text alone is none: it is no list on the wire.
fn parts(message: &Message) -> usize {
    let content = &message.content;
    let listed = content.as_text().map_or(content.parts().len(), |_| 0);
    listed + message.tool_calls.len()
}

/// Returns the path and the error of the first part that is none, if the body has one.
fn malformed_part(body: &Bytes) -> Option<String> {
    if has_reserved_name(body) {
        return None;
    }
    let request: Value = serde_json::from_slice(body).ok()?;
    let messages = request["messages"].as_array()?.iter().enumerate();
    let mut parts = messages.flat_map(|(of, message)| {
        let parts = message["content"].as_array().into_iter().flatten();
        parts.enumerate().map(move |(at, part)| (of, at, part))
    });
    parts.find_map(|(of, at, part)| {
        let error = Part::deserialize(part).err()?;
        Some(format!("`messages[{of}].content[{at}]`: {error}"))
    })
}

/// Checks the numbers of tools and of their outputs.
pub(super) fn check_tools(request: &ChatRequest, limits: &RequestLimits) -> Result<(), Refusal> {
    if let Some(EnabledTools::Named(names)) = &request.enabled_tools {
        limits.check(Element::Tool, names.len())?;
    }
    limits.check(Element::Tool, request.isomorphic_tools.len())?;
    limits.check(Element::Output, request.isomorphic_client_outputs.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(body: &'static [u8]) -> Problem {
        read(&Bytes::from_static(body), &RequestLimits::new())
            .unwrap_err()
            .problem
    }

    #[test]
    fn invalid_json_and_json_of_the_wrong_shape_are_different_problems() {
        for bad in [
            &b""[..],
            b"{",
            b"hello",
            b"{\"messages\":[]} x",
            b"\xff",
            b"{\"messages\":7,",
        ] {
            assert_eq!(problem(bad), Problem::NotJson, "{bad:?}");
        }
        for bad in [
            &b"[]"[..],
            b"7",
            b"{}",
            b"{\"messages\":7}",
            b"{\"messages\":[]}",
            br#"{"messages":[{"role":"wizard","content":"Hi"}]}"#,
            br#"{"messages":[{"content":"Hi"}]}"#,
        ] {
            assert_eq!(problem(bad), Problem::WrongShape, "{bad:?}");
        }
    }

    #[test]
    fn a_malformed_part_is_refused_with_its_path() {
        let body = br#"{"messages":[{"role":"user","content":"Hi"},
            {"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]}]}"#;
        let refusal = read(&Bytes::from_static(body), &RequestLimits::new()).unwrap_err();
        assert_eq!(refusal.problem, Problem::WrongShape);
        for word in ["`messages[1].content[1]`", "image_url", "`media`"] {
            assert!(refusal.detail.contains(word), "{}", refusal.detail);
        }
    }

    #[test]
    fn parts_of_lists_and_calls_are_counted_and_text_alone_is_not() {
        let part = r#"{"type":"text","text":"a"}"#;
        let call = r#"{"id":"1","name":"t"}"#;
        let body = |parts: &[&str]| {
            let parts = parts.join(",");
            Bytes::from(format!(
                r#"{{"messages":[{{"role":"user","content":"Hi"}},
                    {{"role":"assistant","content":[{parts}],"tool_calls":[{call}]}}]}}"#
            ))
        };
        let limits = RequestLimits::new().parts(3);
        assert!(read(&body(&[part, part]), &limits).is_ok());
        let refusal = read(&body(&[part, part, part]), &limits).unwrap_err();
        assert_eq!(refusal.problem, Problem::TooManyElements);
    }

    #[test]
    fn a_request_with_client_tool_outputs_needs_no_message() {
        let body =
            br#"{"messages":[],"isomorphicClientOutputs":[{"callId":"1","toolName":"map"}]}"#;
        let (request, _) = read(&Bytes::from_static(body), &RequestLimits::new()).unwrap();
        assert_eq!(request.isomorphic_client_outputs.len(), 1);
    }
}
