use bytes::Bytes;
use http::request::Parts;

use super::{Native, parameters, route};
use crate::dialect::{
    Intent, Refusal, RequestLimits, Subject, body, chat_body, head::parse_id, inputs,
};

/// Decodes the names in the body of `POST /` or of an answer.
pub(super) fn subject(head: &Parts, body: &Bytes) -> Result<Subject, Refusal> {
    if let Some((id, _)) = inputs::parse_path(head) {
        return Ok(Subject::Answer(parse_id(id)?.into()));
    }
    Ok(Subject::Start {
        session: parameters::session_id(head)?,
        chat: chat_body::chat_id(body)?,
    })
}

/// Decodes the body of `POST /` or of an answer.
pub(super) fn decode(
    native: &Native,
    head: &Parts,
    body: &Bytes,
    limits: &RequestLimits,
) -> Result<Intent, Refusal> {
    if let Some((id, input)) = inputs::parse_path(head) {
        return inputs::decode(parse_id(id)?, input, body, limits);
    }
    let (mut request, values) = chat_body::read(body, limits)?;
    let continues = body::continues(&mut request)?;
    let start = route::start(native, head, request)?;
    let start = start.continues(continues).values(values);
    Ok(Intent::Start(Box::new(start)))
}
