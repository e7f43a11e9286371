//! POSTs that pages of other sites make browsers send, in every dialect.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tower_layer::Layer as _;
use unbroken::{
    access::OnlyTheOwner,
    dialect::{AgUi, AiSdk, Dialect, DurableStreams, Native, OpenAiResponses},
    durable::{CrossSite, DurableLayer, SessionBody},
    log::Owner,
    provider::{Scripted, scripted::Script},
    session::Sessions,
};

const ID: &str = "0123456789abcdefghjkmnpqrs";

type Headers<'a> = &'a [(&'a str, &'a str)];

async fn post(
    layer: DurableLayer,
    path: &str,
    headers: Headers<'_>,
    body: &'static str,
) -> Response<SessionBody> {
    let mut request = Request::post(path).header("host", "here.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let chat = layer.layer(Scripted::new(Script::say("Hello")));
    chat.oneshot(request.body(Body::from(body)).unwrap())
        .await
        .unwrap()
}

fn layer(dialect: impl Dialect) -> DurableLayer {
    layer_of(Sessions::in_memory(), dialect)
}

fn layer_of(sessions: Sessions, dialect: impl Dialect) -> DurableLayer {
    let ann = OnlyTheOwner::new(|_: &mut Parts| Some(Owner::new("ann")));
    DurableLayer::new(sessions, ann).dialect(dialect)
}

async fn text(response: Response<SessionBody>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Sends a POST as a form of another site does, as a script of the page itself, and as a program.
async fn check(dialect: impl Dialect + Clone, path: &str) {
    let name = dialect.name();
    let form = ("content-type", "application/x-www-form-urlencoded");
    for headers in [
        &[("sec-fetch-site", "cross-site"), form][..],
        &[
            ("sec-fetch-site", "cross-site"),
            ("content-type", "text/plain"),
        ],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
    ] {
        let refused = post(layer(dialect.clone()), path, headers, "{}").await;
        assert_eq!(
            refused.status(),
            StatusCode::FORBIDDEN,
            "{name} {path} {headers:?}"
        );
        let said = text(refused).await;
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("Content-Type: application/json"), "{said}");
        let open = layer(dialect.clone()).cross_site(CrossSite::allow());
        let passed = post(open, path, headers, "{}").await;
        assert_ne!(
            passed.status(),
            StatusCode::FORBIDDEN,
            "{name} {path} {headers:?}"
        );
    }
    for headers in [
        &[("sec-fetch-site", "same-origin")][..],
        &[("origin", "https://here.example")],
        &[],
        // Browsers ask before they send this one.
        &[
            ("sec-fetch-site", "cross-site"),
            ("content-type", "application/json"),
        ],
    ] {
        let passed = post(layer(dialect.clone()), path, headers, "{}").await;
        assert_ne!(
            passed.status(),
            StatusCode::FORBIDDEN,
            "{name} {path} {headers:?}"
        );
    }
    let ours = CrossSite::refuse().allow_origin("https://app.example");
    let headers = [
        ("sec-fetch-site", "same-site"),
        ("origin", "https://app.example"),
    ];
    let passed = post(
        layer(dialect.clone()).cross_site(ours),
        path,
        &headers,
        "{}",
    )
    .await;
    assert_ne!(passed.status(), StatusCode::FORBIDDEN, "{name} {path}");
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing_in_any_dialect() {
    for path in ["/", &format!("/{ID}/abort"), &format!("/{ID}/inputs/a")] {
        check(Native::new(), path).await;
        check(AgUi::new(), path).await;
    }
    for path in ["/", "/chat-1/stop", "/chat-1/inputs/a"] {
        check(AiSdk::new(), path).await;
        check(AiSdk::new().any_content_type(true), path).await;
        check(DurableStreams::ui_messages(AiSdk::new()), path).await;
    }
    check(DurableStreams::new(), "/").await;
    check(OpenAiResponses::new(), "/responses").await;
    check(OpenAiResponses::new(), &format!("/responses/{ID}/cancel")).await;
}

#[tokio::test]
async fn a_form_of_another_site_starts_no_answer_where_any_content_type_is_accepted() {
    let body =
        r#"{"id":"c","messages":[{"id":"m","role":"user","parts":[{"type":"text","text":"Hi"}]}]}"#;
    let plain = ("content-type", "text/plain;charset=UTF-8");
    for (site, status) in [("cross-site", 403), ("same-origin", 200)] {
        let sessions = Sessions::in_memory();
        let layer = layer_of(sessions.clone(), AiSdk::new().any_content_type(true));
        let answer = post(layer, "/", &[plain, ("sec-fetch-site", site)], body).await;
        assert_eq!(answer.status(), status);
        assert_eq!(sessions.loaded(), usize::from(status == 200));
    }
}
