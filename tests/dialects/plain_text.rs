use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use unbroken::{
    chat::{ChatEvent, ChatRequest},
    dialect::{
        Abort, Cursor, Dialect, Encoder, Intent, Problem, Read, Refusal, RequestLimits,
        ResponseData, ResponseMode, Route, Start,
    },
    headers::SESSION_ID,
    log::{Chunk, SessionId},
};

/// A dialect for a terminal: each line of the response is a number, a space and a piece of the
/// answer. A client whose connection broke reads on after the number of its last line.
///
/// | request | meaning |
/// |---|---|
/// | `POST /` | start; the body is the question |
/// | `GET /{id}?after=7` | resume |
/// | `DELETE /{id}` | stop |
#[derive(Debug, Clone, Copy)]
pub struct PlainText;

impl Dialect for PlainText {
    fn name(&self) -> &'static str {
        "plain-text"
    }

    fn route(&self, head: &Parts) -> Result<Route, Refusal> {
        let path = head.uri.path().trim_matches('/');
        match (&head.method, path) {
            (&Method::POST, "") => Ok(Route::Body),
            (&Method::GET, id) => {
                let query = head.uri.query().unwrap_or_default();
                let Cursor(after) = query
                    .strip_prefix("after=")
                    .unwrap_or("0")
                    .parse()
                    .map_err(|_| {
                        Refusal::new(Problem::MalformedCursor, "?after= a line's number")
                    })?;
                let read = Read::new(session_id(id)?, after, Box::new(Lines));
                Ok(Route::Known(Intent::Read(read)))
            }
            (&Method::DELETE, id) => Ok(Route::Known(Intent::Abort(Abort::new(session_id(id)?)))),
            _ => Err(
                Refusal::new(Problem::MethodNotAllowed, "POST, GET or DELETE")
                    .allow("POST, GET, DELETE"),
            ),
        }
    }

    // The text is one element, whose bytes the layer bounds: there is nothing to check. Its session
    // has no name of the client's and no chat, as `subject` says by default.
    fn decode(&self, _: &Parts, body: &Bytes, _: &RequestLimits) -> Result<Intent, Refusal> {
        let question = String::from_utf8_lossy(body);
        let request = ChatRequest::from_user(question.trim());
        let mode = ResponseMode::Stream(Box::new(Lines));
        Ok(Intent::Start(Box::new(Start::new(request, mode))))
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        let mut response = text(format!("{}: {}\n", refusal.problem.title(), refusal.detail));
        *response.status_mut() = refusal.problem.status();
        response
    }

    fn respond(&self, data: &ResponseData<'_>) -> Response<Bytes> {
        match data {
            // The encoder writes the body.
            ResponseData::Stream { session, .. } => {
                let mut response = text(String::new());
                let id = HeaderValue::from_str(session.id.as_str());
                let id = id.expect("an id has the characters of a header");
                response.headers_mut().insert(SESSION_ID, id);
                response
            }
            ResponseData::Aborted { already: false, .. } => text("stopping\n".into()),
            ResponseData::Aborted { .. } => text("it had ended\n".into()),
            // The cursor is the terminal event: no line follows.
            _ => {
                let mut nothing = Response::default();
                *nothing.status_mut() = StatusCode::NO_CONTENT;
                nothing
            }
        }
    }

    // A client can't drop lines that it has shown.
    fn can_restart(&self) -> bool {
        false
    }
}

/// Writes records as lines. A line depends on its own record only, so the encoder is
/// [not stateful](Encoder::is_stateful), and readers share its bytes.
#[derive(Debug)]
struct Lines;

impl Encoder for Lines {
    fn content_type(&self) -> &'static str {
        "text/plain; charset=utf-8"
    }

    fn encode(&mut self, records: &Chunk, out: &mut BytesMut) {
        for record in records.records() {
            let line = match serde_json::from_slice(record.bytes) {
                Ok(ChatEvent::Text(text)) => text.content.escape_debug().to_string(),
                Ok(ChatEvent::Complete(_)) => "(the end)".to_owned(),
                Ok(ChatEvent::Aborted(_)) => "(stopped)".to_owned(),
                Ok(ChatEvent::Error(error)) => format!("(failed: {})", error.message),
                // Events without a line are left out.
                _ => continue,
            };
            out.extend_from_slice(format!("{} {line}\n", record.lsn).as_bytes());
        }
    }

    fn shared_key(&self) -> Option<&'static str> {
        Some("plain-text")
    }

    fn heartbeat(&self) -> Option<Bytes> {
        None
    }

    // The body fails after this, which is notice enough.
    fn unavailable(&mut self, _: &mut BytesMut) {}
}

fn session_id(text: &str) -> Result<SessionId, Refusal> {
    text.parse()
        .map_err(|_| Refusal::new(Problem::MalformedId, "not an id; it came with the answer"))
}

fn text(content: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(content));
    let mime = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, mime);
    response
}
