use bytes::Bytes;
use http::request::Parts;

use super::{DurableStreams, ElementKind};
use crate::{
    chat::ChatRequest,
    dialect::{
        Native, Problem, Refusal, ResponseMode, Start,
        body::{self, EXAMPLE},
    },
};

/// Decodes the body of `POST /`. The response names the stream, for the client to read.
pub(super) fn decode(
    dialect: &DurableStreams,
    head: &Parts,
    body: &Bytes,
) -> Result<Start, Refusal> {
    match &dialect.elements {
        ElementKind::Events => {
            let request: ChatRequest = body::read(body, "a chat request", EXAMPLE)?;
            if request.messages.is_empty() && request.isomorphic_client_outputs.is_empty() {
                return Err(Refusal::new(
                    Problem::WrongShape,
                    format!("the chat request has no message to answer; send {EXAMPLE}"),
                ));
            }
            let id = Native::new().session_id(head)?;
            Ok(Start::new(request, ResponseMode::Document).session_id(id))
        }
        #[cfg(feature = "ai-sdk")]
        ElementKind::UiMessageChunks(sdk) => {
            let mut start = sdk.start(body)?;
            start.response_mode = ResponseMode::Document;
            Ok(start)
        }
    }
}
