//! Writable streams, for the server suite of Durable Streams, which writes the streams that it reads.
//! A stream is a session with the posted messages as its source. It is read through the dialect; this
//! facade only unwraps the messages from their events.
//!
//! | | |
//! |---|---|
//! | `PUT` | starts a session |
//! | `POST` | adds a message, or the end |
//! | `GET`, `HEAD` | the response of the dialect |

mod messages;
mod stream;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{DefaultBodyLimit, Path, Request, State},
    response::Response,
    routing::any,
};
use http::{HeaderValue, Method, StatusCode, header};
use tower::ServiceExt;
use tower_http::cors::{Any, CorsLayer};
use tower_layer::Layer;
use unbroken::{
    access::AnyoneWithTheId,
    dialect::DurableStreams,
    durable::{DurableLayer, DurableService},
    headers::{ALLOW, EXPOSE, STREAM_CLOSED, STREAM_NEXT_OFFSET},
    session::{Limits, Sessions},
    store::Memory,
};

use self::{messages::Kind, stream::Stream};
use crate::{gate::Gates, provider::Scripts};

#[derive(Clone)]
struct Facade {
    sessions: Sessions,
    dialect: DurableService<Scripts>,
    streams: Arc<Mutex<HashMap<String, Arc<Stream>>>>,
}

/// Returns an app with the streams under `/v1/stream`.
pub(crate) fn app() -> Router {
    let limits = Limits::default().running(100_000);
    let sessions = Sessions::builder(Memory::new()).limits(limits).build();
    let dialect = DurableStreams::new().long_poll(Duration::from_millis(400));
    let facade = Facade {
        dialect: DurableLayer::new(sessions.clone(), AnyoneWithTheId::new())
            .dialect(dialect)
            .layer(Scripts::new(Gates::default())),
        sessions,
        streams: Arc::default(),
    };
    Router::new()
        .route("/v1/stream/{name}", any(serve))
        .layer(DefaultBodyLimit::disable())
        .layer(
            CorsLayer::new()
                .allow_origin(Any)
                .allow_methods(Any)
                .allow_headers(ALLOW)
                .expose_headers(EXPOSE),
        )
        .with_state(facade)
}

async fn serve(
    State(facade): State<Facade>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let written = match *request.method() {
        Method::PUT => facade.create(&name, request).await,
        Method::POST => facade.append(&name, request).await,
        _ => return facade.read(&name, request).await,
    };
    let mut response = written.unwrap_or_else(status);
    let nosniff = HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

type Written = Result<Response, StatusCode>;

impl Facade {
    fn stream(&self, name: &str) -> Option<Arc<Stream>> {
        self.streams.lock().unwrap().get(name).cloned()
    }

    fn insert(&self, name: &str, stream: Arc<Stream>) {
        self.streams.lock().unwrap().insert(name.to_owned(), stream);
    }

    async fn create(&self, name: &str, request: Request) -> Written {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let kind = Kind::of(content_type.cloned());
        let closed = closes(&request);
        let location = location(&request, name);
        let body = body(request).await?;
        let messages = if body.is_empty() {
            Vec::new()
        } else {
            kind.messages(&body).ok_or(StatusCode::BAD_REQUEST)?
        };
        if let Some(stream) = self.stream(name) {
            let same = stream.kind.same(&kind);
            let ok = if same {
                Ok(StatusCode::OK)
            } else {
                Err(StatusCode::CONFLICT)
            };
            return self.written(&stream, ok?).await;
        }
        let stream = Arc::new(Stream::start(&self.sessions, name, kind).await);
        self.insert(name, stream.clone());
        stream.append(&messages, closed).await;
        let mut response = self.written(&stream, StatusCode::CREATED).await?;
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, location);
        headers.insert(header::CONTENT_TYPE, stream.kind.content_type());
        Ok(response)
    }

    async fn append(&self, name: &str, request: Request) -> Written {
        let stream = self.stream(name).ok_or(StatusCode::NOT_FOUND)?;
        let closed = closes(&request);
        let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
        let body = body(request).await?;
        if body.is_empty() {
            let status = if closed {
                StatusCode::NO_CONTENT
            } else {
                StatusCode::BAD_REQUEST
            };
            if closed {
                stream.append(&[], true).await;
            }
            return self.written(&stream, status).await;
        }
        if content_type.is_none() {
            return Err(StatusCode::BAD_REQUEST);
        }
        if !stream.kind.same(&Kind::of(content_type)) {
            return Err(StatusCode::CONFLICT);
        }
        let messages = stream.kind.messages(&body);
        let messages = messages.filter(|messages| !messages.is_empty());
        let messages = messages.ok_or(StatusCode::BAD_REQUEST)?;
        if !stream.append(&messages, closed).await {
            return self.written(&stream, StatusCode::CONFLICT).await;
        }
        self.written(&stream, StatusCode::NO_CONTENT).await
    }

    /// Returns the current end of the stream, from the dialect.
    async fn written(&self, stream: &Stream, status_code: StatusCode) -> Written {
        let head = Request::head(format!("/{}", stream.id));
        let head = self.send(head.body(Body::empty()).unwrap()).await;
        let mut response = status(status_code);
        for name in [STREAM_NEXT_OFFSET, STREAM_CLOSED] {
            if let Some(value) = head.headers().get(&name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
        Ok(response)
    }

    async fn send(&self, request: Request) -> Response {
        let response = self.dialect.clone().oneshot(request).await;
        response.expect("the service has no errors").map(Body::new)
    }

    async fn read(&self, name: &str, mut request: Request) -> Response {
        let stream = self.stream(name);
        let id = stream
            .as_ref()
            .map_or_else(|| stream::id(name), |it| it.id.clone());
        let query = request.uri().query();
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        let uri = format!("/{id}{query}").parse();
        *request.uri_mut() = uri.expect("an id and the query of the request");
        let response = self.send(request).await;
        match stream {
            Some(stream) => stream.kind.unwrap_messages(response).await,
            None => response,
        }
    }
}

fn closes(request: &Request) -> bool {
    let closed = request.headers().get(STREAM_CLOSED);
    closed.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
}

fn location(request: &Request, name: &str) -> HeaderValue {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let location = format!("http://{host}/v1/stream/{name}");
    location.parse().expect("a host and a name")
}

async fn body(request: Request) -> Result<Bytes, StatusCode> {
    // The body is read to its end, because the client sees a broken connection otherwise.
    let body = to_bytes(request.into_body(), usize::MAX).await;
    let body = body.map_err(|_| StatusCode::BAD_REQUEST)?;
    if body.len() > 100 * 1024 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    Ok(body)
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
