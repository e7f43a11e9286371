//! Handlers of an application and mounted services, as clients see them.

use axum::{
    Json, Router,
    body::Body,
    extract::{FromRequestParts, State},
    routing::{get, post},
};
use futures_util::stream;
use http::{Request, Response, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use tower_layer::Layer;
use unbroken::{
    access::{AnyoneWithTheId, Identify, OnlyTheOwner},
    chat::{Capabilities, ChatEvent, ChatRequest, ProviderError, provider_fn},
    durable::{DurableLayer, ProviderSource, digest_of},
    log::{self, Owner, ServiceName},
    session::{SessionSpec, Sessions},
};
use unbroken_axum::{
    Rejection, RequestCursor, RequestSessionId, Resume, SessionResponse, identify_with, mount,
};

const ID: &str = "a-session-of-some-client-0001";

macro_rules! provider {
    () => {
        provider_fn(|_request: ChatRequest| {
            stream::iter(["Hel", "lo"].map(|it| Ok::<_, ProviderError>(ChatEvent::text(it))))
        })
    };
}

async fn ask(
    State(sessions): State<Sessions>,
    id: Option<RequestSessionId>,
    resume: Resume,
    Json(question): Json<String>,
) -> Result<SessionResponse, Rejection> {
    let id = id.map_or_else(log::SessionId::random, |RequestSessionId(id)| id);
    let info = ChatEvent::session_info(Capabilities::new())
        .to_json()
        .freeze();
    let digest = digest_of(["ask", &question]);
    let spec = SessionSpec::new(id, ServiceName::new("ask"), digest, info);
    let source = ProviderSource::new(provider!(), ChatRequest::from_user(question));
    let started = sessions.start(sessions.permit(None)?, spec, source).await?;
    resume
        .mount_path("/answers")
        .respond(&started.session)
        .await
}

async fn read(
    State(sessions): State<Sessions>,
    RequestSessionId(id): RequestSessionId,
    resume: Resume,
) -> Result<SessionResponse, Rejection> {
    resume.respond(&sessions.attach(&id).await?).await
}

async fn cursor(RequestCursor(after): RequestCursor) -> String {
    after.lsn.to_string()
}

fn app() -> Router {
    Router::new()
        .route("/ask", post(ask))
        .route("/answers/{id}", get(read))
        .route("/cursor", get(cursor))
        .with_state(Sessions::in_memory())
}

fn question(text: &str) -> Request<Body> {
    Request::post("/ask")
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-session-id", ID)
        .body(format!("{text:?}").into())
        .unwrap()
}

fn at(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn problem(response: Response<Body>) -> (u16, String) {
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "application/problem+json"
    );
    let status = response.status().as_u16();
    let problem: Value = serde_json::from_str(&text(response).await).unwrap();
    (status, problem["type"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_handler_answers_with_a_session_that_clients_resume() {
    let app = app();
    let response = app.clone().oneshot(question("Hi")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-session-id"], ID);
    assert_eq!(
        response.headers()[header::CONTENT_LOCATION],
        format!("/answers/{ID}")
    );
    let whole = text(response).await;
    assert_eq!(whole.lines().count(), 4);
    let path = format!("/answers/{ID}?after=3");
    let rest = app.clone().oneshot(at(&path)).await.unwrap();
    assert_eq!(
        text(rest).await,
        format!("{}\n", whole.lines().nth(3).unwrap())
    );
    let path = format!("/answers/{ID}?after=4");
    let end = app.oneshot(at(&path)).await.unwrap();
    assert_eq!(end.status(), 204);
}

#[tokio::test]
async fn rejections_are_problems() {
    let app = app();
    app.clone().oneshot(question("Hi")).await.unwrap();
    let other = app.clone().oneshot(question("Hello")).await.unwrap();
    assert_eq!(
        problem(other).await,
        (409, "urn:unbroken:id-in-use".to_owned())
    );
    let absent = format!("/answers/{ID}-2");
    let past = format!("/answers/{ID}?after=9");
    for (path, status, name) in [
        ("/answers/short", 400, "malformed-id"),
        (&absent, 404, "not-found"),
        (&past, 400, "cursor-past-tail"),
        ("/cursor?after=x", 400, "malformed-cursor"),
    ] {
        let response = app.clone().oneshot(at(path)).await.unwrap();
        let urn = format!("urn:unbroken:{name}");
        assert_eq!(problem(response).await, (status, urn));
    }
    let mut json = at(&format!("/answers/{ID}"));
    let accept = "application/json".parse().unwrap();
    json.headers_mut().insert(header::ACCEPT, accept);
    let response = app.clone().oneshot(json).await.unwrap();
    assert_eq!(problem(response).await.0, 406);
    let mut tagged = at("/cursor?after=1&lastLsn=2");
    let id = "3.0000000".parse().unwrap();
    tagged.headers_mut().insert("last-event-id", id);
    let response = app.clone().oneshot(tagged).await.unwrap();
    assert_eq!(text(response).await, "3");
    let twin = app.oneshot(at("/cursor?lastLsn=2")).await.unwrap();
    assert_eq!(text(twin).await, "2");
}

#[tokio::test]
async fn the_id_of_a_session_is_in_the_path_or_else_in_the_header_or_query() {
    async fn id(id: Result<RequestSessionId, Rejection>) -> String {
        id.map_or_else(
            |it| it.0.problem.urn().to_owned(),
            |RequestSessionId(id)| id.to_string(),
        )
    }
    let app: Router = Router::new()
        .route("/in/{session_id}", get(id))
        .route("/out", get(id));
    let in_path = app.clone().oneshot(at(&format!("/in/{ID}?sessionId=x")));
    assert_eq!(text(in_path.await.unwrap()).await, ID);
    let in_query = app.clone().oneshot(at(&format!("/out?sessionId={ID}")));
    assert_eq!(text(in_query.await.unwrap()).await, ID);
    let mut request = at("/out?sessionId=x");
    request
        .headers_mut()
        .insert("x-session-id", ID.parse().unwrap());
    let in_header = app.clone().oneshot(request);
    assert_eq!(text(in_header.await.unwrap()).await, ID);
    let nowhere = app.oneshot(at("/out")).await.unwrap();
    assert_eq!(text(nowhere).await, "urn:unbroken:malformed-id");
}

#[tokio::test]
async fn a_mounted_service_knows_its_path_at_any_depth() {
    let service = || {
        let access = AnyoneWithTheId::new();
        DurableLayer::new(Sessions::in_memory(), access).layer(provider!())
    };
    let start = |path: &str| {
        Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-session-id", ID)
            .body(Body::from(
                r#"{"messages":[{"role":"user","content":"Hi"}]}"#,
            ))
            .unwrap()
    };
    let deep: Router = Router::new().nest("/api/v1", mount("/chat", service()));
    let root: Router = mount("/", service());
    for (app, path, location) in [
        (&deep, "/api/v1/chat", format!("/api/v1/chat/{ID}")),
        (&deep, "/api/v1/chat/", format!("/api/v1/chat/{ID}")),
        (&root, "/", format!("/{ID}")),
    ] {
        let response = app.clone().oneshot(start(path)).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()[header::CONTENT_LOCATION], location);
        let found = app.clone().oneshot(at(&location)).await.unwrap();
        assert_eq!(found.status(), 200);
        assert_eq!(found.headers()[header::CONTENT_LOCATION], location);
    }
}

struct User(String);

impl FromRequestParts<&'static str> for User {
    type Rejection = (StatusCode, [(&'static str, &'static str); 1], &'static str);

    async fn from_request_parts(
        parts: &mut Parts,
        secret: &&'static str,
    ) -> Result<Self, Self::Rejection> {
        let token = parts.headers.get("authorization");
        match token.and_then(|it| it.to_str().ok()?.strip_prefix(secret)) {
            Some(name) => Ok(Self(name.to_owned())),
            None => Err((
                StatusCode::UNAUTHORIZED,
                [("www-authenticate", "Bearer")],
                "sign in first",
            )),
        }
    }
}

#[tokio::test]
async fn an_extractor_names_the_owner_and_its_rejection_stands() {
    let identify = identify_with(|User(name)| Owner::new(name)).with_state("secret-");
    let sessions = Sessions::in_memory();
    let chat = DurableLayer::new(sessions.clone(), OnlyTheOwner::new(identify)).layer(provider!());
    // The path is known without `mount`, too.
    let app: Router = Router::new().nest_service("/chat", chat);
    let start = || {
        Request::post("/chat")
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-session-id", ID)
    };
    let body = || Body::from(r#"{"messages":[{"role":"user","content":"Hi"}]}"#);
    let refused = app
        .clone()
        .oneshot(start().body(body()).unwrap())
        .await
        .unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.headers()["www-authenticate"], "Bearer");
    assert_eq!(text(refused).await, "sign in first");

    let request = start().header("authorization", "secret-ann");
    let started = app.oneshot(request.body(body()).unwrap()).await.unwrap();
    assert_eq!(started.status(), 200);
    assert_eq!(
        started.headers()[header::CONTENT_LOCATION],
        format!("/chat/{ID}")
    );
    let state = sessions.state(&ID.parse().unwrap()).await.unwrap();
    assert_eq!(state.meta.owner, Some(Owner::new("ann")));
}

#[tokio::test]
async fn each_type_that_becomes_an_owner_names_one() {
    async fn owner(identify: impl Identify) -> Option<Owner> {
        let (mut head, ()) = Request::get("/").body(()).unwrap().into_parts();
        identify.identify(&mut head).await.unwrap()
    }
    let ann = Some(Owner::new("ann"));
    assert_eq!(owner(identify_with(|(): ()| Owner::new("ann"))).await, ann);
    assert_eq!(owner(identify_with(|(): ()| "ann".to_owned())).await, ann);
    assert_eq!(owner(identify_with(|(): ()| "ann")).await, ann);
    assert_eq!(owner(identify_with(|(): ()| Some("ann"))).await, ann);
    let option = |(): ()| Some("ann".to_owned());
    assert_eq!(owner(identify_with(option)).await, ann);
    let option = |(): ()| Some(Owner::new("ann"));
    assert_eq!(owner(identify_with(option)).await, ann);
    assert_eq!(owner(identify_with(|(): ()| None::<Owner>)).await, None);
}
