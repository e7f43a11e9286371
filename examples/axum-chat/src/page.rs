//! The page: plain files that are part of the binary.

use axum::{
    Router,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
    routing::get,
};

const INDEX: &str = include_str!("../page/index.html");

macro_rules! files {
    ($($name:literal: $kind:expr,)+) => {
        [$((concat!("/", $name), $kind, include_str!(concat!("../page/", $name)))),+]
    };
}

const FILES: [(&str, &str, &str); 7] = files! {
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
    "chat.js": JAVASCRIPT,
    "answer.js": JAVASCRIPT,
    "history.js": JAVASCRIPT,
    "prose.js": JAVASCRIPT,
    "unbroken.js": JAVASCRIPT,
};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// What a model says is text to this page; should it ever become markup, it still runs nothing and
/// reaches nobody else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// The routes of the page. `provider` tells it who answers.
pub(crate) fn routes(provider: &str) -> Router {
    let index = INDEX.replace("{{provider}}", provider);
    let router = Router::new().route("/", file("text/html; charset=utf-8", index));
    FILES
        .into_iter()
        .fold(router, |router, (path, kind, text)| {
            router.route(path, file(kind, text.to_owned()))
        })
}

fn file(kind: &'static str, text: String) -> axum::routing::MethodRouter {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
    ];
    get(move || async move { (headers, text) })
}
