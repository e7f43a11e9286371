//! The suite against axum under layers of tower-http.

use std::time::Duration;

use axum::Router;
use http::StatusCode;
use libtest_mimic::{Failed, Trial};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, predicate::Predicate},
    cors::{Any, CorsLayer},
    timeout::TimeoutLayer,
    trace::TraceLayer,
};
use unbroken::headers::{ALLOW, EXPOSE, may_compress};
use unbroken_conformance::http::{HttpTarget, suite};

use crate::{
    chat::Server,
    frameworks::{app, run, serve},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("axum under layers over HTTP/1.1", || {
            run(layered, without_options, &[OPTIONS])
        }),
        trial("axum under layers over HTTP/2", || {
            let adapt = |target| without_options(target).http2();
            run(layered, adapt, &[OPTIONS])
        }),
        trial("compression without `may_compress` is noticed", compressed),
    ]
}

const OPTIONS: &str = "options_lists_the_allowed_methods";

/// Waives the case that tower-http breaks, which answers every OPTIONS as a preflight.
fn without_options(target: HttpTarget) -> HttpTarget {
    target.waive(OPTIONS, "the CORS layer answers OPTIONS itself")
}

async fn layered() -> Server {
    serve(|sessions| {
        let cors = CorsLayer::new()
            .allow_origin(Any)
            .allow_headers(ALLOW)
            .expose_headers(EXPOSE);
        with_layers(app(sessions), may_compress).layer(cors)
    })
    .await
}

fn with_layers(app: Router, compress: impl Predicate + Send + Sync + 'static) -> Router {
    let timeout = Duration::from_secs(3);
    app.layer(CompressionLayer::new().compress_when(compress))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            timeout,
        ))
        .layer(CatchPanicLayer::new())
        .layer(TraceLayer::new_for_http())
}

/// A control: the suite fails without `may_compress`.
async fn compressed() -> Result<(), Failed> {
    let always = |_: StatusCode, _: http::Version, _: &http::HeaderMap, _: &http::Extensions| true;
    let server = serve(|sessions| with_layers(app(sessions), always)).await;
    let report = suite(server.target()).await;
    let names: Vec<_> = report.failed().map(|finding| finding.name).collect();
    if names.contains(&"the_head_forbids_caching_and_transforming") {
        Ok(())
    } else {
        Err(Failed::from(format!("only {names:?} failed")))
    }
}
