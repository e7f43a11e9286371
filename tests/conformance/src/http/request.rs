use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::{Value, json};

/// A request, below the mount.
#[derive(Debug, Clone)]
pub(super) struct TestRequest {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// How long the body's last byte keeps the server waiting.
    pub(super) pause: Option<Duration>,
    /// By whom the server may know another caller.
    pub(super) stranger: bool,
}

impl TestRequest {
    pub(super) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method: Method::from_bytes(method.as_bytes()).expect("cases know their methods"),
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            pause: None,
            stranger: false,
        }
    }

    /// Reads the session.
    pub(super) fn get(id: &str) -> Self {
        Self::new("GET", format!("/{id}"))
    }

    /// Starts what this body asks for.
    pub(super) fn start(body: &Value) -> Self {
        Self::new("POST", "").json(body.to_string())
    }

    /// Starts an answer that follows this script.
    pub(super) fn script(script: &Value) -> Self {
        Self::start(&following(script))
    }

    pub(super) fn abort(id: &str) -> Self {
        Self::new("POST", format!("/{id}/abort"))
    }

    pub(super) fn delete(id: &str) -> Self {
        Self::new("DELETE", format!("/{id}"))
    }

    pub(super) fn json(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.with(header::CONTENT_TYPE, "application/json")
    }

    pub(super) fn query(mut self, query: &str) -> Self {
        self.path = format!("{}?{query}", self.path);
        self
    }

    /// With this header, instead of another of its name.
    pub(super) fn with(mut self, name: impl Into<HeaderName>, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("cases send visible ASCII");
        self.headers.insert(name.into(), value);
        self
    }

    pub(super) fn under(self, id: &str) -> Self {
        self.with(unbroken::headers::SESSION_ID, id)
    }

    pub(super) fn after(self, cursor: impl std::fmt::Display) -> Self {
        self.with(unbroken::headers::LAST_LSN, &cursor.to_string())
    }

    pub(super) fn accept(self, accept: &str) -> Self {
        self.with(header::ACCEPT, accept)
    }

    pub(super) fn slowly(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }

    pub(super) fn by_stranger(mut self) -> Self {
        self.stranger = true;
        self
    }
}

/// A chat request whose answer follows this script.
pub(super) fn following(script: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": "Hi"}], "script": script})
}
