//! Tests of CORS, which interpret the headers as a browser does.

use axum::{Router, middleware::from_fn_with_state, routing::get as route};
use axum_existing::{App, auth::authenticate, layers};
use serde_json::json;
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};
use unbroken::headers::{ALLOW, EXPOSE};

use crate::{
    client::{Answer, Call, With, call, get},
    panics::broken,
    server::{CHAT, NOTES, Server, ask, routes, settings},
};

const PAGE: &str = "http://localhost:5173";

fn preflight(method: &str) -> Call {
    call("OPTIONS", CHAT)
        .with("origin", PAGE)
        .with("access-control-request-method", method)
}

fn listed(answer: &Answer, header: &str, name: &str) -> bool {
    let mut names = answer.header(header).split(',');
    names.any(|it| it.trim().eq_ignore_ascii_case(name))
}

/// Returns true if a browser lets the page read the response.
fn is_shown(answer: &Answer) -> bool {
    answer.header("access-control-allow-origin") == PAGE
}

/// Returns true if a browser sends this header after this response to a preflight.
fn may_send(preflight: &Answer, name: &str) -> bool {
    preflight.head.status.is_success()
        && is_shown(preflight)
        && listed(preflight, "access-control-allow-headers", name)
}

/// Returns true if the page can read this header.
fn may_read(answer: &Answer, name: &str) -> bool {
    is_shown(answer) && listed(answer, "access-control-expose-headers", name)
}

async fn with(cors: CorsLayer) -> Server {
    let state = App::demo();
    let auth = from_fn_with_state(state.clone(), authenticate);
    Server::of(routes(&state).layer(auth).layer(cors)).await
}

#[tokio::test]
async fn a_page_of_another_origin_can_send_and_read_the_headers_of_a_chat() {
    let server = Server::app().await;
    for method in ["GET", "POST", "DELETE"] {
        let preflight = server.send(preflight(method)).await;
        assert!(listed(&preflight, "access-control-allow-methods", method));
        for name in ALLOW.iter().map(http::HeaderName::as_str) {
            assert!(may_send(&preflight, name), "{name}");
        }
        assert!(may_send(&preflight, "authorization"));
    }
    let question = ask(&json!({"tokens": 1})).by("ann").with("origin", PAGE);
    let answer = server.send(question).await;
    assert_eq!(answer.status(), 200);
    for name in &EXPOSE {
        assert!(may_read(&answer, name.as_str()), "{name}");
    }
}

#[tokio::test]
async fn a_page_can_read_errors() {
    let server = Server::with(Router::new().route("/api/broken", route(broken))).await;
    for (path, user, status) in [
        (NOTES, "nobody", 401),
        (CHAT, "nobody", 401),
        ("/api/chat/nobodys-session-0000000001", "ann", 404),
        ("/api/broken", "ann", 500),
    ] {
        let answer = server.send(get(path).by(user).with("origin", PAGE)).await;
        assert_eq!(answer.status(), status, "{path}");
        assert!(is_shown(&answer), "{path}");
    }
}

#[tokio::test]
async fn control_without_expose_the_page_can_not_read_its_session_id() {
    let origin = settings().origin;
    let server = with(CorsLayer::new().allow_origin(origin)).await;
    let question = ask(&json!({"tokens": 1})).by("ann").with("origin", PAGE);
    let answer = server.send(question).await;
    assert_eq!(answer.status(), 200);
    assert!(is_shown(&answer) && !answer.header("x-session-id").is_empty());
    assert!(
        !may_read(&answer, "x-session-id"),
        "it is there, but hidden"
    );
}

#[tokio::test]
async fn control_without_allow_a_browser_sends_no_cursor() {
    let cors = CorsLayer::new()
        .allow_origin(settings().origin)
        .expose_headers(EXPOSE);
    let server = with(cors).await;
    let preflight = server.send(preflight("POST")).await;
    for name in ["x-last-lsn", "x-session-id", "last-event-id"] {
        assert!(!may_send(&preflight, name), "{name}");
    }
}

#[tokio::test]
async fn control_inside_of_auth_the_preflight_is_refused_and_a_401_hidden() {
    let state = App::demo();
    let auth = from_fn_with_state(state.clone(), authenticate);
    let cors = layers::cors(&settings());
    let server = Server::of(routes(&state).layer(cors).layer(auth)).await;
    let preflight = server.send(preflight("POST")).await;
    assert_eq!(preflight.status(), 401);
    assert!(!may_send(&preflight, "authorization"));
    let refused = server.send(get(CHAT).with("origin", PAGE)).await;
    assert!(!is_shown(&refused));
}

#[tokio::test]
async fn control_inside_of_catch_panic_the_500_is_hidden() {
    let broken: Router = Router::new().route("/api/broken", route(broken));
    let cors = layers::cors(&settings());
    let server = Server::of(broken.layer(cors).layer(CatchPanicLayer::new())).await;
    let answer = server.send(get("/api/broken").with("origin", PAGE)).await;
    assert_eq!(answer.status(), 500);
    assert!(!is_shown(&answer));
}
