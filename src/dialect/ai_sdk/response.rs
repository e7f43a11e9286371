use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::route::run_id;
use crate::dialect::{
    ResponseData, SessionView,
    head::{describe, no_store},
};

/// Marks the response as a UI message stream of the SDK.
const UI_MESSAGE_STREAM: HeaderName = HeaderName::from_static("x-vercel-ai-ui-message-stream");
/// The response header with the run, by which the `WorkflowChatTransport` resumes. For pages of another
/// origin, a CORS layer must expose it beside [`headers::EXPOSE`](crate::headers::EXPOSE).
pub const RUN_ID: HeaderName = HeaderName::from_static("x-workflow-run-id");
/// The index of the last chunk before the stream, for a transport that asked for some chunks from the
/// end. It gets all chunks, so the index is -1.
const TAIL_INDEX: HeaderName = HeaderName::from_static("x-workflow-stream-tail-index");

/// Returns the response to a granted request. The encoder writes the body of a stream.
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
        // `Idle`; this dialect requests nothing else.
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
