use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::route::run_id;
use crate::dialect::{
    ResponseData, SessionView,
    head::{describe, no_store},
};

/// Says that it is a stream of the SDK's.
const UI_MESSAGE_STREAM: HeaderName = HeaderName::from_static("x-vercel-ai-ui-message-stream");
/// On a response: what the `WorkflowChatTransport` resumes by. For pages of another origin, a CORS
/// layer must expose it beside [`headers::EXPOSE`](crate::headers::EXPOSE).
pub const RUN_ID: HeaderName = HeaderName::from_static("x-workflow-run-id");
/// Where it believes the stream to end, when it asked for some chunks from the end. It got all of
/// them, so this is before the first.
const TAIL_INDEX: HeaderName = HeaderName::from_static("x-workflow-stream-tail-index");

/// The response to what was granted; a stream's body is the encoder's.
pub(super) fn respond(data: &ResponseData<'_>) -> Response<Bytes> {
    match data {
        ResponseData::Stream {
            session,
            encoder,
            after,
            answered,
            ..
        } => {
            let mut response = of(session, StatusCode::OK);
            let headers = response.headers_mut();
            let content_type = HeaderValue::from_static(encoder.content_type());
            headers.insert(header::CONTENT_TYPE, content_type);
            headers.insert(UI_MESSAGE_STREAM, HeaderValue::from_static("v1"));
            let id = HeaderValue::try_from(run_id(session.id, after.lsn, answered));
            headers.insert(RUN_ID, id.expect("an id is made of visible ASCII"));
            headers.insert(TAIL_INDEX, HeaderValue::from_static("-1"));
            response
        }
        ResponseData::Aborted {
            session, already, ..
        } => {
            let status = if *already {
                StatusCode::OK
            } else {
                StatusCode::ACCEPTED
            };
            of(session, status)
        }
        ResponseData::Options { allow } => {
            let mut response = nothing();
            let allow = HeaderValue::from_static(allow);
            response.headers_mut().insert(header::ALLOW, allow);
            response
        }
        // Nothing runs: what else there is, this dialect doesn't ask for.
        _ => nothing(),
    }
}

fn of(session: &SessionView<'_>, status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    describe(session, response.headers_mut());
    response
}

fn nothing() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    no_store(response.headers_mut());
    response
}
