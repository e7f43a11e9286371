//! Tests of the trace layer's place. A binary of its own, since the subscriber belongs to the process.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, routing::get};
use axum_existing::{
    App, chat,
    layers::{Settings, app},
    notes,
};
use http::Request;
use tower::ServiceExt as _;
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};
use tracing_subscriber::filter::LevelFilter;
use unbroken::{durable::ClientFields, provider::Scripted, session::Sessions};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Returns true if a request for this path was traced with this status.
    fn has(&self, path: &str, status: u16) -> bool {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let (uri, status) = (format!("uri={path} "), format!("status={status}"));
        let mut lines = log.lines();
        lines.any(|line| line.contains(&uri) && line.contains(&status))
    }
}

async fn broken() -> &'static str {
    panic!("a mistake in the application")
}

async fn status(router: &Router, path: &str, token: &str) -> u16 {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::empty()).unwrap();
    router
        .clone()
        .oneshot(request)
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test]
async fn the_trace_has_the_responses_of_every_layer() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    let state = App::demo();
    let (sessions, open) = (Sessions::in_memory(), ClientFields::nothing());
    let chat = chat::routes(sessions, state.clone(), open, Scripted::default());
    let own = notes::routes().route("/api/broken", get(broken));
    let router = app(own, chat, state, &Settings::default());
    for (path, token, expected) in [
        ("/api/broken", "ann-token", 500),
        ("/api/notes", "nobodys", 401),
        ("/api/chat", "nobodys", 401),
        ("/api/chat", "ann-token", 200),
    ] {
        assert_eq!(status(&router, path, token).await, expected, "{path}");
        assert!(log.has(path, expected), "{path} {expected}");
    }

    // A control: inside of catch-panic the trace has the request but no response.
    let inside: Router = Router::new()
        .route("/inside", get(broken))
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::new());
    assert_eq!(status(&inside, "/inside", "ann-token").await, 500);
    assert!(!log.has("/inside", 500));
}
