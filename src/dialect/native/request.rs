use bytes::Bytes;
use http::request::Parts;

use super::{Native, route};
use crate::{
    chat::ChatRequest,
    dialect::{
        Intent, Problem, Refusal,
        body::{self, EXAMPLE},
        head::parse_id,
        inputs,
    },
};

/// Decodes the body of `POST /` or of an answer.
pub(super) fn decode(native: &Native, head: &Parts, body: &Bytes) -> Result<Intent, Refusal> {
    if let Some((id, input)) = inputs::parse_path(head) {
        return inputs::decode(parse_id(id)?, input, body);
    }
    let request = chat_request(body)?;
    route::start(native, head, request).map(|start| Intent::Start(Box::new(start)))
}

fn chat_request(bytes: &Bytes) -> Result<ChatRequest, Refusal> {
    let request: ChatRequest = body::read(bytes, "a chat request", EXAMPLE)?;
    // A request with outputs of client tools may leave the conversation to the server.
    if request.messages.is_empty() && request.isomorphic_client_outputs.is_empty() {
        return Err(Refusal::new(
            Problem::WrongShape,
            format!("the chat request has no message to answer; send {EXAMPLE}"),
        ));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(body: &'static [u8]) -> Problem {
        chat_request(&Bytes::from_static(body)).unwrap_err().problem
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
    fn a_request_with_client_tool_outputs_needs_no_message() {
        let body =
            br#"{"messages":[],"isomorphicClientOutputs":[{"callId":"1","toolName":"map"}]}"#;
        let request = chat_request(&Bytes::from_static(body)).unwrap();
        assert_eq!(request.isomorphic_client_outputs.len(), 1);
    }
}
