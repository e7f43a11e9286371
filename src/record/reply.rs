//! The responses about sessions.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request, response};
use serde::Serialize;

use super::{
    Framing, body::RecordBody, config::RecordConfig, found_head::FoundHead,
    frame_encoder::FrameEncoder, recorded_head::RecordedHead, recording_end::RecordingEnd,
};
use crate::{
    dialect::{Refusal, SessionView, describe, refuse},
    exchange::{MountPath, refusals},
    headers::FIRST_LSN,
    log::{ErrorCode, Lsn, Position, SessionId, Status},
    session::{ReadError, Reader, Session},
};

/// Makes the responses to one request.
pub(super) struct RecordReply {
    config: Arc<RecordConfig>,
    /// The path of the route, if it is known.
    path: Option<String>,
}

/// The frames that a client wants of a recording.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The client's cursor.
    pub(super) after: Option<Position>,
    /// True for a request of the method that starts: a response without any frame is given as it is.
    pub(super) starts: bool,
}

#[derive(Serialize)]
struct RecordingDocument<'a> {
    id: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<ErrorCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    tail: u64,
}

impl RecordReply {
    pub(super) fn new(config: &Arc<RecordConfig>, head: &request::Parts) -> Self {
        let mount = config.mount.as_ref().or_else(|| head.extensions.get());
        let path = mount.map(|mount: &MountPath| match head.uri.path() {
            "/" if !mount.as_str().is_empty() => mount.as_str().to_owned(),
            path => format!("{}{path}", mount.as_str()),
        });
        Self {
            config: config.clone(),
            path,
        }
    }

    /// Responds with the frames of a recording. `inner` is the head of the response that this request has started.
    pub(super) async fn recording<R>(
        &self,
        session: &Session,
        found: FoundHead,
        inner: Option<response::Parts>,
        wanted: Wanted,
    ) -> Result<Response<RecordBody<R>>, Refusal> {
        let FoundHead { head, mut reader } = found;
        if let Some(after) = wanted.after.filter(|after| after.lsn > Lsn::ZERO) {
            reader = open(session, after).await?;
        }
        let framing = head.framing();
        let may_be_over = wanted.after.is_some() || (framing == Framing::Events && !wanted.starts);
        let after = reader.position();
        let mut headers = HeaderMap::new();
        let status = reader.status();
        if may_be_over && status.outcome().is_some() && is_over(session, after, &mut reader).await?
        {
            self.describe(session.id(), status, reader.tail(), &mut headers);
            return Ok(respond(
                StatusCode::NO_CONTENT,
                headers,
                RecordBody::empty(),
            ));
        }
        let (status_code, version) = (head.status(), inner.as_ref().map(|inner| inner.version));
        let mut extensions = None;
        match inner {
            Some(inner) => {
                headers = inner.headers;
                without_connection(&mut headers);
                extensions = Some(inner.extensions);
            }
            None => head.append_headers(&mut headers),
        }
        self.describe(session.id(), status, reader.tail(), &mut headers);
        if framing != Framing::Events {
            let first = after.lsn.max(RecordedHead::LSN).next();
            headers.insert(FIRST_LSN, first.get().into());
        }
        let encoder = FrameEncoder::new(framing).after(wanted.after.unwrap_or_default());
        let body = RecordBody::recording(reader, encoder, self.config.heartbeat);
        let mut response = respond(status_code, headers, body);
        if let (Some(version), Some(extensions)) = (version, extensions) {
            *response.version_mut() = version;
            *response.extensions_mut() = extensions;
        }
        Ok(response)
    }

    /// Responds with the outcome of a session.
    pub(super) async fn outcome<R>(
        &self,
        session: &Session,
    ) -> Result<Response<RecordBody<R>>, Refusal> {
        let reader = open(session, Position::START).await?;
        let (status, tail) = (reader.status(), reader.tail());
        let mut end = None;
        if status.outcome().is_some() {
            let mut last = open(session, Position::after(tail.before())).await?;
            let refused = |error: ReadError| refusals::read(&error, Position::START);
            let batch = last.next().await.transpose().map_err(refused)?;
            let record = batch.as_ref().and_then(|it| it.chunk().records().last());
            end = record.and_then(|record| RecordingEnd::decode(record.bytes));
        }
        let (code, message) = match &end {
            Some(RecordingEnd::Error { code, message, .. }) => (Some(*code), Some(&**message)),
            Some(RecordingEnd::Aborted { reason }) => (None, reason.as_deref()),
            Some(RecordingEnd::Complete) | None => (None, None),
        };
        Ok(self.document(StatusCode::OK, session.id(), (status, tail), code, message))
    }

    /// Responds to an abort.
    pub(super) fn aborted<R>(
        &self,
        id: &SessionId,
        status: Status,
        tail: Lsn,
    ) -> Response<RecordBody<R>> {
        let code = match status.outcome() {
            Some(_) => StatusCode::OK,
            None => StatusCode::ACCEPTED,
        };
        self.document(code, id, (status, tail), None, None)
    }

    /// Responds to a delete.
    pub(super) fn deleted<R>() -> Response<RecordBody<R>> {
        let mut headers = HeaderMap::new();
        crate::dialect::no_store(&mut headers);
        respond(StatusCode::NO_CONTENT, headers, RecordBody::empty())
    }

    /// Responds with a refusal.
    pub(super) fn refused<R>(refusal: &Refusal) -> Response<RecordBody<R>> {
        crate::metrics::REFUSALS.count(1, &[("type", refusal.problem.urn())]);
        refuse(refusal).map(RecordBody::document)
    }

    fn document<R>(
        &self,
        code: StatusCode,
        id: &SessionId,
        (status, tail): (Status, Lsn),
        error: Option<ErrorCode>,
        message: Option<&str>,
    ) -> Response<RecordBody<R>> {
        let document = RecordingDocument {
            id: id.as_str(),
            status: status.as_str(),
            code: error,
            message,
            tail: tail.get(),
        };
        let document = serde_json::to_vec(&document).expect("words and numbers are JSON");
        let mut headers = HeaderMap::new();
        self.describe(id, status, tail, &mut headers);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        respond(code, headers, RecordBody::document(Bytes::from(document)))
    }

    /// Sets the headers of a response about a session.
    fn describe(&self, id: &SessionId, status: Status, tail: Lsn, headers: &mut HeaderMap) {
        describe(&SessionView::new(id, status, tail), headers);
        let location = self.path.as_ref().and_then(|path| {
            let location = format!("{path}?sessionId={}", id.as_str());
            HeaderValue::from_str(&location).ok()
        });
        if let Some(location) = location {
            headers.insert(header::CONTENT_LOCATION, location);
        }
    }
}

fn respond<B>(status: StatusCode, headers: HeaderMap, body: B) -> Response<B> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

async fn open(session: &Session, after: Position) -> Result<Reader, Refusal> {
    let reader = session.reader(after).await;
    reader.map_err(|error| refusals::read(&error, after))
}

/// Returns true if nothing that a client is sent follows in a sealed log. `reader` has read to the end then.
async fn is_over(session: &Session, after: Position, reader: &mut Reader) -> Result<bool, Refusal> {
    let refused = |error: ReadError| refusals::read(&error, after);
    let mut rest = open(session, after).await?;
    while let Some(batch) = rest.next().await.transpose().map_err(refused)? {
        if batch
            .chunk()
            .records()
            .any(|record| super::records::is_frame(record.bytes))
        {
            return Ok(false);
        }
    }
    *reader = rest;
    Ok(true)
}

/// Removes the headers that belong to the connection of a response, and its length.
fn without_connection(headers: &mut HeaderMap) {
    let named: Vec<_> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse::<header::HeaderName>().ok())
        .collect();
    let always = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::PROXY_AUTHENTICATE,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::HeaderName::from_static("keep-alive"),
    ];
    for name in always.into_iter().chain(named) {
        headers.remove(name);
    }
}
