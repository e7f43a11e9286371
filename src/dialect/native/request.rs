use bytes::Bytes;
use http::request::Parts;

use super::{Native, route};
use crate::{
    chat::{ChatRequest, InputAnswer},
    dialect::{
        Intent, Problem, Refusal,
        body::{self, EXAMPLE},
    },
};

/// What the body of `POST /`, or of an answer, asks for.
pub(super) fn decode(native: &Native, head: &Parts, body: &Bytes) -> Result<Intent, Refusal> {
    if let Some((id, input)) = route::answered(head)? {
        let answer = input_answer(body)?;
        return Ok(Intent::Answer { id, input, answer });
    }
    let request = chat_request(body)?;
    route::start(native, head, request).map(|start| Intent::Start(Box::new(start)))
}

const ANSWER: &str = r#"{"action":"accept","content":{}}"#;

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

fn input_answer(bytes: &Bytes) -> Result<InputAnswer, Refusal> {
    body::read_or(Problem::UnfitAnswer, bytes, "an answer", ANSWER)
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
    fn an_answer_that_is_none_is_told_from_what_is_not_json() {
        let problem = |body| input_answer(&Bytes::from_static(body)).unwrap_err().problem;
        for bad in [&b""[..], b"yes", b"{\"action\":7,"] {
            assert_eq!(problem(bad), Problem::NotJson, "{bad:?}");
        }
        for bad in [&b"[]"[..], b"{}", b"{\"action\":\"shrug\"}"] {
            assert_eq!(problem(bad), Problem::UnfitAnswer, "{bad:?}");
        }
        let body = Bytes::from_static(br#"{"action":"accept","content":{"days":3}}"#);
        assert_eq!(input_answer(&body).unwrap().content["days"], 3);
    }

    #[test]
    fn results_of_client_tools_are_enough_to_answer() {
        let body =
            br#"{"messages":[],"isomorphicClientOutputs":[{"callId":"1","toolName":"map"}]}"#;
        let request = chat_request(&Bytes::from_static(body)).unwrap();
        assert_eq!(request.isomorphic_client_outputs.len(), 1);
    }
}
