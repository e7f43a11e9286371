//! The order of a request: the caller is identified and the policy asked before the body is decoded.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response, StatusCode, request::Parts};
use tower::ServiceExt as _;
use tower_layer::Layer as _;
use unbroken::{
    BoxFuture,
    access::{Access, Action, Identified, SessionRef},
    dialect::{Dialect, Intent, Native, Refusal, RequestLimits, ResponseData, Route, Subject},
    durable::{DurableLayer, SessionBody},
    log::{ChatId, Owner},
    provider::{Scripted, scripted::Script},
    session::Sessions,
};

const ID: &str = "0123456789abcdefghjkmnpqrs";

/// A dialect, by default the native one, with counts of what it decodes.
#[derive(Debug, Clone)]
struct Counted {
    inner: Arc<dyn Dialect>,
    subjects: Arc<AtomicUsize>,
    bodies: Arc<AtomicUsize>,
    /// True if the bodies are decoded into another chat than the subject's.
    lies: bool,
}

impl Default for Counted {
    fn default() -> Self {
        Self::new(Native::new())
    }
}

impl Counted {
    fn new(dialect: impl Dialect) -> Self {
        Self {
            inner: Arc::new(dialect),
            subjects: Arc::default(),
            bodies: Arc::default(),
            lies: false,
        }
    }

    fn decoded(&self) -> (usize, usize) {
        (self.subjects.load(SeqCst), self.bodies.load(SeqCst))
    }
}

impl Dialect for Counted {
    fn name(&self) -> &'static str {
        "counted"
    }

    fn route(&self, head: &Parts) -> Result<Route, Refusal> {
        self.inner.route(head)
    }

    fn subject(&self, head: &Parts, body: &Bytes) -> Result<Subject, Refusal> {
        self.subjects.fetch_add(1, SeqCst);
        self.inner.subject(head, body)
    }

    fn decode(
        &self,
        head: &Parts,
        body: &Bytes,
        limits: &RequestLimits,
    ) -> Result<Intent, Refusal> {
        self.bodies.fetch_add(1, SeqCst);
        let mut intent = self.inner.decode(head, body, limits)?;
        if let (true, Intent::Start(start)) = (self.lies, &mut intent) {
            start.chat = Some(ChatId::new("another"));
        }
        Ok(intent)
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        self.inner.refuse(refusal)
    }

    fn respond(&self, data: &ResponseData<'_>) -> Response<Bytes> {
        self.inner.respond(data)
    }

    fn can_restart(&self) -> bool {
        false
    }
}

/// A policy that lets no stranger in, and that allows one chat and the reads of all.
#[derive(Debug)]
struct OneChat;

impl Access for OneChat {
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
        Box::pin(async move {
            if let Some(Ok(user)) = head.headers.get("x-user").map(|user| user.to_str()) {
                return Ok(user.parse().ok());
            }
            let response = Response::builder().status(StatusCode::UNAUTHORIZED);
            Err(response.body(Bytes::new()).unwrap())
        })
    }

    fn allow<'a>(
        &'a self,
        _: Option<&'a Owner>,
        action: Action,
        session: Option<SessionRef<'a>>,
    ) -> BoxFuture<'a, bool> {
        let open = session.and_then(|it| it.chat).map(ChatId::as_str) == Some("open");
        Box::pin(async move { open && action != Action::Answer || action == Action::Read })
    }

    fn names_owners(&self) -> bool {
        true
    }
}

async fn send(
    dialect: &Counted,
    path: &str,
    user: Option<&str>,
    body: Body,
) -> Response<SessionBody> {
    let layer = DurableLayer::new(Sessions::in_memory(), OneChat).dialect(dialect.clone());
    let chat = layer.layer(Scripted::new(Script::say("Hello")));
    let mut request = Request::post(path).header("content-type", "application/json");
    if let Some(user) = user {
        request = request.header("x-user", user);
    }
    chat.oneshot(request.body(body).unwrap()).await.unwrap()
}

fn asked(chat: &str, messages: &str) -> Body {
    Body::from(format!(r#"{{"messages":{messages},"chatId":"{chat}"}}"#))
}

const HI: &str = r#"[{"role":"user","content":"Hi"}]"#;

#[tokio::test]
async fn a_caller_who_is_not_identified_gets_the_response_before_the_body_arrives() {
    let dialect = Counted::default();
    for path in ["/", &format!("/{ID}/inputs/a")] {
        let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let refused = send(&dialect, path, None, never).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(dialect.decoded(), (0, 0));
}

#[tokio::test]
async fn the_body_of_a_forbidden_start_is_decoded_for_its_chat_only() {
    let dialect = Counted::default();
    // The policy is asked, although the messages are none.
    for messages in ["7", HI] {
        let refused = send(&dialect, "/", Some("ann"), asked("closed", messages)).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    }
    assert_eq!(dialect.decoded(), (2, 0));
    let malformed = send(&dialect, "/", Some("ann"), asked("open", "7")).await;
    assert_eq!(malformed.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let started = send(&dialect, "/", Some("ann"), asked("open", HI)).await;
    assert_eq!(started.status(), StatusCode::OK);
    assert_eq!(dialect.decoded(), (4, 2));
}

/// A dialect, and the starts in a chat that the policy closes: one that can be decoded, one that can't.
#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "durable-streams",
    feature = "openai-responses"
))]
type Starts = (Counted, &'static str, [String; 2]);

#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "durable-streams",
    feature = "openai-responses"
))]
fn dialects() -> Vec<Starts> {
    use unbroken::dialect::{AgUi, AiSdk, DurableStreams, OpenAiResponses};

    let chat = |id: &str| {
        let user =
            r#"[{"id":"m","role":"user","content":"Hi","parts":[{"type":"text","text":"Hi"}]}]"#;
        [user, "7"].map(|messages| format!(r#"{{"messages":{messages},"{id}":"closed"}}"#))
    };
    let response = ["\"Hi\"", "7"].map(|input| format!(r#"{{"input":{input}}}"#));
    let streams = DurableStreams::ui_messages(AiSdk::new());
    vec![
        (Counted::new(Native::new()), "/", chat("chatId")),
        (Counted::new(DurableStreams::new()), "/", chat("chatId")),
        (Counted::new(AiSdk::new()), "/", chat("id")),
        (Counted::new(streams), "/", chat("id")),
        (Counted::new(AgUi::new()), "/", chat("threadId")),
        (Counted::new(OpenAiResponses::new()), "/responses", response),
    ]
}

#[cfg(all(
    feature = "ag-ui",
    feature = "ai-sdk",
    feature = "durable-streams",
    feature = "openai-responses"
))]
#[tokio::test]
async fn no_dialect_decodes_the_body_of_a_caller_who_may_not_start() {
    for (dialect, path, bodies) in dialects() {
        let name = format!("{:?}", dialect.inner);
        let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        let unknown = send(&dialect, path, None, never).await;
        assert_eq!(unknown.status(), StatusCode::UNAUTHORIZED, "{name}");
        assert_eq!(dialect.decoded(), (0, 0), "{name}");
        for body in bodies {
            let refused = send(&dialect, path, Some("ann"), Body::from(body)).await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{name}");
        }
        assert_eq!(dialect.decoded(), (2, 0), "{name}");
    }
}

#[cfg(all(feature = "ag-ui", feature = "ai-sdk"))]
#[tokio::test]
async fn no_dialect_decodes_an_answer_to_a_session_that_the_caller_can_not_use() {
    use unbroken::dialect::{AgUi, AiSdk};

    for dialect in [Counted::new(AiSdk::new()), Counted::new(AgUi::new())] {
        let path = format!("/{ID}/inputs/a");
        let refused = send(&dialect, &path, Some("ann"), Body::from("not json")).await;
        assert_eq!(
            refused.status(),
            StatusCode::NOT_FOUND,
            "{:?}",
            dialect.inner
        );
        assert_eq!(dialect.decoded().1, 0, "{:?}", dialect.inner);
    }
}

#[tokio::test]
async fn the_body_of_a_forbidden_answer_is_not_decoded() {
    let dialect = Counted::default();
    let layer = DurableLayer::new(Sessions::in_memory(), OneChat).dialect(dialect.clone());
    let chat = layer.layer(Scripted::new(Script::say("Hello")));
    let post = |path: String, body: Body| {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("x-user", "ann")
            .header("x-session-id", ID);
        chat.clone().oneshot(request.body(body).unwrap())
    };
    let started = post("/".into(), asked("open", HI)).await.unwrap();
    assert_eq!(started.status(), StatusCode::OK);
    let before = dialect.decoded().1;
    let refused = post(format!("/{ID}/inputs/a"), Body::from("not json")).await;
    assert_eq!(refused.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(dialect.decoded().1, before);
}

#[tokio::test]
async fn a_dialect_that_decodes_another_chat_than_the_policy_allowed_starts_nothing() {
    let dialect = Counted {
        lies: true,
        ..Counted::default()
    };
    let refused = send(&dialect, "/", Some("ann"), asked("open", HI)).await;
    assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(dialect.decoded(), (1, 1));
}
