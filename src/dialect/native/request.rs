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

/// What the body of `POST /`, or of an answer, asks for.
pub(super) fn decode(native: &Native, head: &Parts, body: &Bytes) -> Result<Intent, Refusal> {
    if let Some((id, input)) = inputs::parse_path(head) {
        return inputs::decode(parse_id(id)?, input, body);
    }
    let request = chat_request(body)?;
    route::start(native, head, request).map(|start| Intent::Start(Box::new(start)))
}

fn chat_request(bytes: &Bytes) -> Result<ChatRequest, Refusal> {
    let request: ChatRequest = body::read(bytes, "a chat request", EXAMPLE)?;
    // A client that hands in what its tools gave may leave the conversation to the server.
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
    fn what_is_not_json_is_told_from_json_of_the_wrong_shape() {
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
    fn results_of_client_tools_are_enough_to_answer() {
        let body =
            br#"{"messages":[],"isomorphicClientOutputs":[{"callId":"1","toolName":"map"}]}"#;
        let request = chat_request(&Bytes::from_static(body)).unwrap();
        assert_eq!(request.isomorphic_client_outputs.len(), 1);
    }
}
