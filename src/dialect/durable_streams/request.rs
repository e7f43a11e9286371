use bytes::Bytes;
use http::request::Parts;

use super::{DurableStreams, ElementKind};
#[cfg(feature = "ai-sdk")]
use crate::dialect::Dialect as _;
use crate::dialect::{
    Intent, Native, Refusal, RequestLimits, ResponseMode, Start, Subject, body, chat_body,
};

/// Decodes the names in the body of a request.
pub(super) fn subject(
    dialect: &DurableStreams,
    head: &Parts,
    body: &Bytes,
) -> Result<Subject, Refusal> {
    match &dialect.elements {
        ElementKind::Events => Ok(Subject::Start {
            session: Native::new().session_id(head)?,
            chat: chat_body::chat_id(body)?,
        }),
        #[cfg(feature = "ai-sdk")]
        ElementKind::UiMessageChunks(sdk) => sdk.subject(head, body),
    }
}

/// Decodes the body of a request. The response to a start names the stream, for the client to read.
pub(super) fn decode(
    dialect: &DurableStreams,
    head: &Parts,
    body: &Bytes,
    limits: &RequestLimits,
) -> Result<Intent, Refusal> {
    match &dialect.elements {
        ElementKind::Events => {
            let (mut request, values) = chat_body::read(body, limits)?;
            let id = Native::new().session_id(head)?;
            let continues = body::continues(&mut request)?;
            let start = Start::new(request, ResponseMode::Document).session_id(id);
            let start = start.continues(continues).values(values);
            Ok(Intent::Start(Box::new(start)))
        }
        #[cfg(feature = "ai-sdk")]
        ElementKind::UiMessageChunks(sdk) => {
            let mut intent = sdk.decode(head, body, limits)?;
            if let Intent::Start(start) = &mut intent {
                start.response_mode = ResponseMode::Document;
            }
            Ok(intent)
        }
    }
}
