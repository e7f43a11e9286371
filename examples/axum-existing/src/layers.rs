//! The order of the layers, and its reasons.
//!
//! ```text
//!  trace ─ CORS ─ catch-panic ─ compression ─ auth ─┬─ timeout ─ body limit ─ the application's routes
//!                                                   └─ durable ─ notes in the prompt ─ provider
//! ```
//!
//! The response of a chat is a stream that may be long, and its request is a whole conversation. A layer
//! that limits the time of a response or the size of a request belongs around the other routes only.

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

/// The settings of the layers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The origin of the page that talks to this server.
    pub origin: HeaderValue,
    /// The time limit of the application's handlers.
    pub timeout: Duration,
    /// The most bytes of a request's body to the application's routes.
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

/// Merges the application's own routes and the chat, and adds all layers.
pub fn app(own: Router<App>, chat: Router, state: App, settings: &Settings) -> Router {
    own
        // `TimeoutLayer` limits the time up to the head of a response. The head of a stream comes at
        // once, so around the chat this layer would cut no stream. It would cut
        // `GET /api/chat/{id}?wait=20`, whose head waits for the next event. Layers that limit the
        // time of a response's body do cut streams (`ResponseBodyDeadlineLayer`, and
        // `ResponseBodyTimeoutLayer` if shorter than the heartbeat of 15 s). The chat has limits of its
        // own: `Limits` for the model, `body_timeout` for the request.
        //
        // A conversation outgrows a limit that suits a form, and this layer's 413 is not the
        // `application/problem+json` that clients of a chat expect. The chat's own limit is
        // `max_body`.
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
        // After `merge`, since a layer covers the routes that the router has before it. One line
        // earlier, the chat would have no users and answer every request with 401. It can't stand
        // behind the durable layer either, where the HTTP request has become a chat request.
        .layer(from_fn_with_state(state, authenticate))
        // Around all routes. The first layer is the outermost.
        .layer(
            ServiceBuilder::new()
                // Traces the responses that clients get, from whichever layer; a panic as a 500. The
                // latency of a stream is that of its head.
                .layer(TraceLayer::new_for_http())
                // Outside of auth, since a preflight has no token, and a page can't tell a 401 without
                // CORS headers from a network failure; nor the 500 of a panic.
                .layer(cors(settings))
                // Outside of everything that may panic. A provider's panic does not get here: it
                // becomes the terminal event of its answer.
                .layer(CatchPanicLayer::new())
                // Can stand anywhere, since the predicate excludes streams.
                .layer(CompressionLayer::new().compress_when(compressible())),
        )
}

/// Returns the layer that lets a page of another origin send and read the headers of the chat.
pub fn cors(settings: &Settings) -> CorsLayer {
    // Without `ALLOW` a browser can't send the cursor of a resume. Without `EXPOSE` the page can't
    // read the id of its session.
    CorsLayer::new()
        .allow_origin(settings.origin.clone())
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([&ALLOW[..], &[AUTHORIZATION]].concat())
        .expose_headers(EXPOSE)
}

/// Returns the predicate of responses that are compressed.
///
/// tower-http's default excludes server-sent events but not NDJSON, and ignores `no-transform`.
pub fn compressible() -> impl Predicate + Send + Sync + 'static {
    DefaultPredicate::new().and(may_compress)
}
