//! In which order the layers stand, and why.
//!
//! ```text
//!  trace ─ CORS ─ catch-panic ─ compression ─ auth ─┬─ timeout ─ body limit ─ the application's routes
//!                                                   └─ durable ─ notes in the prompt ─ provider
//! ```
//!
//! A chat differs from other routes in that its response is a stream which may be as long as a model
//! likes to talk, and in that its request is a whole conversation. A layer that judges by how long a
//! response takes, or how large a request is, belongs around the other routes only.

use std::time::Duration;

use axum::{Router, middleware::from_fn_with_state};
use http::{HeaderValue, Method, StatusCode, header::AUTHORIZATION};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, Predicate},
    },
    cors::CorsLayer,
    limit::RequestBodyLimitLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};
use unbroken::headers::{ALLOW, EXPOSE, may_compress};

use crate::{App, auth::authenticate};

/// What is configured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the page comes from that talks to this server.
    pub origin: HeaderValue,
    /// How long a handler of the application's may take.
    pub timeout: Duration,
    /// The most bytes that a request to the application may have.
    pub max_body: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            origin: HeaderValue::from_static("http://localhost:5173"),
            timeout: Duration::from_secs(10),
            max_body: 16 * 1024,
        }
    }
}

/// The application's own routes and the chat, in one router.
pub fn app(own: Router<App>, chat: Router, state: App, settings: &Settings) -> Router {
    own
        // `TimeoutLayer` counts until the response's head is there. A stream's head is there at
        // once, so that around the chat it would cut no answer; but it would cut
        // `GET /api/chat/{id}?wait=20`, whose head waits for the next event. What does cut answers
        // is a layer that counts the time of a response's body (`ResponseBodyDeadlineLayer`;
        // `ResponseBodyTimeoutLayer` where it is shorter than the heartbeat's 15 s). The chat has
        // timeouts of its own: `Limits` for the model, `body_timeout` for the request.
        //
        // A conversation outgrows a limit that is fine for a form, and this layer's 413 is not the
        // `application/problem+json` that clients of a chat know. The chat's own is `max_body`.
        .layer(
            ServiceBuilder::new()
                .layer(TimeoutLayer::with_status_code(
                    StatusCode::GATEWAY_TIMEOUT,
                    settings.timeout,
                ))
                .layer(RequestBodyLimitLayer::new(settings.max_body)),
        )
        .with_state(state.clone())
        .merge(chat)
        // After `merge`: a layer covers what was in the router before it. One line earlier, the chat
        // would have no users, and answer 401 whoever asks. It can't be further in either: behind
        // the durable layer there is no HTTP request any more, and the answer has been started.
        .layer(from_fn_with_state(state, authenticate))
        // Around everything, the first is the outermost.
        .layer(
            ServiceBuilder::new()
                // Sees what clients see, whichever layer made it; a panic as the 500 that it
                // becomes. For a stream the latency is that of its head.
                .layer(TraceLayer::new_for_http())
                // Outside of auth: a preflight has no token, and a page can't tell a 401 without
                // CORS headers from a server that is down. The same goes for the 500 of a panic.
                .layer(cors(settings))
                // Outside of all that may panic. A provider that panics never gets here: that is
                // the terminal event of its answer.
                .layer(CatchPanicLayer::new())
                // It can stand anywhere, if it is kept off the streams.
                .layer(CompressionLayer::new().compress_when(compressible())),
        )
}

/// What a page from another origin may send and read.
pub fn cors(settings: &Settings) -> CorsLayer {
    // Without `ALLOW` a browser doesn't even send the cursor it would resume from; without `EXPOSE`
    // the page never learns its session's id, and has nothing to resume.
    CorsLayer::new()
        .allow_origin(settings.origin.clone())
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([&ALLOW[..], &[AUTHORIZATION]].concat())
        .expose_headers(EXPOSE)
}

/// What is compressed. The default knows server-sent events for a stream, but takes NDJSON for a
/// document; `no-transform`, which forbids it in HTTP's own words, it does not look at.
pub fn compressible() -> impl Predicate + Send + Sync + 'static {
    DefaultPredicate::new().and(may_compress)
}
