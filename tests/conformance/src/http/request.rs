use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::{Value, json};

/// A request to a path below the mount.
#[derive(Debug, Clone)]
pub(super) struct TestRequest {
    pub(super) method: Method,
    /// The path and the query.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// The delay of the body's last byte.
    pub(super) pause: Option<Duration>,
    /// True if the second caller sends it.
    pub(super) stranger: bool,
}

impl TestRequest {
    pub(super) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method: Method::from_bytes(method.as_bytes()).expect("a valid method"),
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            pause: None,
            stranger: false,
        }
    }

    /// Reads a session.
    pub(super) fn get(id: &str) -> Self {
        Self::new("GET", format!("/{id}"))
    }

    /// Starts a session with this body.
    pub(super) fn start(body: &Value) -> Self {
        Self::new("POST", "").json(body.to_string())
    }

    /// Starts a session whose answer follows this script.
    pub(super) fn script(script: &Value) -> Self {
        Self::start(&chat_body(script))
    }

    pub(super) fn abort(id: &str) -> Self {
        Self::new("POST", format!("/{id}/abort"))
    }

    pub(super) fn delete(id: &str) -> Self {
        Self::new("DELETE", format!("/{id}"))
    }

    pub(super) fn json(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(header::CONTENT_TYPE, "application/json")
    }

    pub(super) fn query(mut self, query: &str) -> Self {
        self.path = format!("{}?{query}", self.path);
        self
    }

    /// Sets a header, in place of an earlier one of its name.
    pub(super) fn header(mut self, name: impl Into<HeaderName>, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("visible ASCII");
        self.headers.insert(name.into(), value);
        self
    }

    pub(super) fn session_id(self, id: &str) -> Self {
        self.header(unbroken::headers::SESSION_ID, id)
    }

    pub(super) fn after(self, cursor: impl std::fmt::Display) -> Self {
        self.header(unbroken::headers::LAST_LSN, &cursor.to_string())
    }

    pub(super) fn accept(self, accept: &str) -> Self {
        self.header(header::ACCEPT, accept)
    }

    pub(super) fn paced(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }

    pub(super) fn by_stranger(mut self) -> Self {
        self.stranger = true;
        self
    }
}

/// Returns the body of a chat request whose answer follows this script.
pub(super) fn chat_body(script: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": "Hi"}], "script": script})
}
