//! `POST /{session}/inputs/{inputId}` answers a question, in the dialects whose protocol has no route
//! for it.

use bytes::Bytes;
use http::{Method, request::Parts};

use super::{
    Intent, Problem, Refusal, RequestLimits, Route, Target, body,
    head::{content_type, not_allowed},
};
use crate::chat::{InputAnswer, InputId, InvalidInputId, ToolCall, is_deeper};

/// The methods of the route.
pub(super) const ALLOW: &str = "POST, OPTIONS";
const EXAMPLE: &str = r#"{"action":"accept","content":{}}"#;

/// Decodes the head of a request whose path names this question.
pub(super) fn route(head: &Parts, input: &str) -> Result<Route, Refusal> {
    match head.method {
        Method::POST => {
            parse(input)?;
            content_type(head).map(|()| Route::Body)
        }
        Method::OPTIONS => Ok(Route::Known(Intent::Options { allow: ALLOW })),
        _ => Err(not_allowed(ALLOW)),
    }
}

/// Returns the session and the question that the path names, unparsed; `None` for the path of a start.
pub(super) fn parse_path(head: &Parts) -> Option<(&str, &str)> {
    let path = head.uri.path();
    path.strip_prefix('/')
        .unwrap_or(path)
        .split_once("/inputs/")
}

/// Decodes the body of an answer.
pub(super) fn decode(
    session: impl Into<Target>,
    input: &str,
    bytes: &Bytes,
    limits: &RequestLimits,
) -> Result<Intent, Refusal> {
    limits.check_json(bytes)?;
    Ok(Intent::Answer {
        session: session.into(),
        input: parse(input)?,
        answer: read(bytes)?,
    })
}

fn read(bytes: &Bytes) -> Result<InputAnswer, Refusal> {
    let answer: InputAnswer = body::read_or(Problem::UnfitAnswer, bytes, "an answer", EXAMPLE)?;
    if is_deeper(&answer.content, ToolCall::MAX_DEPTH) {
        let most = ToolCall::MAX_DEPTH;
        return Err(Refusal::new(
            Problem::UnfitAnswer,
            format!("`content` is nested deeper than {most} levels; nest it less"),
        ));
    }
    Ok(answer)
}

fn parse(input: &str) -> Result<InputId, Refusal> {
    input
        .parse()
        .map_err(|error: InvalidInputId| Refusal::new(Problem::NoSuchInput, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_answer_and_a_body_that_is_not_json_are_different_problems() {
        let problem = |body| read(&Bytes::from_static(body)).unwrap_err().problem;
        for bad in [&b""[..], b"yes", b"{\"action\":7,"] {
            assert_eq!(problem(bad), Problem::NotJson, "{bad:?}");
        }
        for bad in [&b"[]"[..], b"{}", b"{\"action\":\"shrug\"}"] {
            assert_eq!(problem(bad), Problem::UnfitAnswer, "{bad:?}");
        }
        let body = Bytes::from_static(br#"{"action":"accept","content":{"days":3}}"#);
        assert_eq!(read(&body).unwrap().content["days"], 3);
    }
}
