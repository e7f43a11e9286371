use std::any::Any;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use super::{accept::JSON, route::CompactContext};
use crate::{
    dialect::{
        ResponseData, SessionView,
        compact::{MAX_BYTES, RunFolder},
        head::{describe, no_store},
        shown::shown,
    },
    log::{ChatId, Chunk, Lsn},
    store::{Listed, Listing},
};

/// Returns the response to a granted request. The encoder writes the body of a stream.
pub(super) fn respond(data: &ResponseData<'_>) -> Response<Bytes> {
    match data {
        ResponseData::Stream {
            session, encoder, ..
        } => with_session(
            session,
            StatusCode::OK,
            Some(encoder.content_type()),
            Bytes::new(),
        ),
        ResponseData::AtEnd { session, .. } => {
            with_session(session, StatusCode::NO_CONTENT, None, Bytes::new())
        }
        ResponseData::Idle | ResponseData::Deleted { .. } => bare(StatusCode::NO_CONTENT),
        // A start that attaches gets the response of the first one.
        ResponseData::Document { session, .. } => {
            let created = StatusCode::CREATED;
            let mut response = with_session(session, created, Some(JSON), document(session));
            if let Some(location) = location(session) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
        ResponseData::Page {
            session,
            records,
            next,
            context,
            ..
        } => {
            let compacted = context
                .as_deref()
                .is_some_and(<dyn Any + Send + Sync>::is::<CompactContext>);
            let body = if compacted {
                page(session, &fold_runs(session, records), next.lsn)
            } else {
                page(session, records, next.lsn)
            };
            with_session(session, StatusCode::OK, Some(JSON), body)
        }
        ResponseData::FullLog {
            session, records, ..
        } => with_session(
            session,
            StatusCode::OK,
            Some(JSON),
            page(session, records, session.tail),
        ),
        ResponseData::Aborted {
            session, already, ..
        } => {
            let status = if *already {
                StatusCode::OK
            } else {
                StatusCode::ACCEPTED
            };
            with_session(session, status, Some(JSON), document(session))
        }
        ResponseData::Answered { session, input } => {
            let body = json(&SessionDocument {
                input_id: Some(input.as_str()),
                ..SessionDocument::of(session)
            });
            with_session(session, StatusCode::ACCEPTED, Some(JSON), body)
        }
        ResponseData::Listed(listing) => {
            let mut response = bare(StatusCode::OK);
            *response.body_mut() = list(listing);
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
            response
        }
        ResponseData::Options { allow } => {
            let mut response = bare(StatusCode::NO_CONTENT);
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static(allow));
            response
        }
    }
}

fn bare(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    no_store(response.headers_mut());
    response
}

fn with_session(
    session: &SessionView<'_>,
    status: StatusCode,
    content_type: Option<&'static str>,
    body: Bytes,
) -> Response<Bytes> {
    let mut response = bare(status);
    *response.body_mut() = body;
    let headers = response.headers_mut();
    describe(session, headers);
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if let Some(location) = location(session) {
        headers.insert(header::CONTENT_LOCATION, location);
    }
    response
}

fn location(session: &SessionView<'_>) -> Option<HeaderValue> {
    let mount = session.mount?;
    HeaderValue::from_str(&format!("{mount}/{}", session.id)).ok()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionDocument<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_id: Option<&'a str>,
    status: &'static str,
    tail: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_id: Option<&'a str>,
}

impl<'a> SessionDocument<'a> {
    fn of(session: &SessionView<'a>) -> Self {
        Self {
            id: session.id.as_str(),
            input_id: None,
            status: session.status.as_str(),
            tail: session.tail.get(),
            chat_id: session.chat.map(ChatId::as_str),
        }
    }
}

fn document(session: &SessionView<'_>) -> Bytes {
    json(&SessionDocument::of(session))
}

fn list(listing: &Listing) -> Bytes {
    #[derive(Serialize)]
    struct ListDocument<'a> {
        sessions: Vec<SessionDocument<'a>>,
        next: Option<&'a str>,
    }
    fn entry(listed: &Listed) -> SessionDocument<'_> {
        SessionDocument {
            id: listed.id.as_str(),
            input_id: None,
            status: listed.state.status.as_str(),
            tail: listed.state.tail.get(),
            chat_id: listed.state.meta.chat.as_ref().map(ChatId::as_str),
        }
    }
    json(&ListDocument {
        sessions: listing.sessions.iter().map(entry).collect(),
        next: listing.next.as_deref(),
    })
}

fn fold_runs(session: &SessionView<'_>, records: &[Chunk]) -> Vec<Chunk> {
    let mut runs = RunFolder::new(session.event_bytes.min(MAX_BYTES));
    let mut folded = Vec::new();
    for records in records {
        runs.add(records, &mut |records| folded.push(records.clone()));
    }
    runs.end(&mut |records| folded.push(records.clone()));
    folded
}

fn page(session: &SessionView<'_>, records: &[Chunk], next: Lsn) -> Bytes {
    let bytes: usize = records.iter().map(|it| it.bytes() + it.len() * 32).sum();
    let mut out = BytesMut::with_capacity(bytes + 128);
    out.put_slice(b"{\"events\":[");
    for (at, record) in records.iter().flat_map(Chunk::records).enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        out.put_slice(format!("{{\"lsn\":{},\"event\":", record.lsn).as_bytes());
        out.put_slice(&shown(record.bytes));
        out.put_u8(b'}');
    }
    out.put_slice(
        format!(
            "],\"next\":{next},\"tail\":{},\"status\":\"{}\"}}",
            session.tail, session.status
        )
        .as_bytes(),
    );
    out.freeze()
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("strings and numbers are JSON")
        .into()
}
