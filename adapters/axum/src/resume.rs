use axum::extract::FromRequestParts;
use http::request::Parts;
use unbroken::{
    dialect::{Native, Problem, Refusal},
    durable::{MountPath, Reply},
    log::Position,
    session::Session,
};

use crate::{Rejection, SessionResponse};

/// Extracts how a client wants to read a session, the encoding that it accepts and its cursor, and
/// makes the response of a session.
///
/// Rejects with 406 a client that accepts neither NDJSON nor SSE, and with 400 a malformed cursor.
///
/// A handler of one's own names the owner, and [digests](unbroken::durable::digest_of) what it was
/// asked: a retry under the same id, owner and digest attaches to the session that is there. With a
/// digest that is always the same, one question would be answered with another one's session.
///
/// ```
/// use axum::{Json, Router, extract::State, routing::post};
/// use futures_util::stream;
/// use unbroken::{chat::{Capabilities, ChatEvent, ChatRequest, ProviderError, provider_fn}, durable::{ProviderSource, digest_of}, session::{self, Sessions, Start}, log::Owner};
/// use unbroken_axum::{Rejection, Resume, SessionId, SessionResponse};
/// # #[derive(Clone)] struct User(Owner);
/// # impl<S: Sync> axum::extract::FromRequestParts<S> for User {
/// #     type Rejection = http::StatusCode;
/// #     async fn from_request_parts(
/// #         parts: &mut http::request::Parts, _: &S,
/// #     ) -> Result<Self, http::StatusCode> {
/// #         parts.extensions.get().cloned().ok_or(http::StatusCode::UNAUTHORIZED)
/// #     }
/// # }
///
/// // `User` is an extractor of the application's.
/// async fn ask(
///     State(sessions): State<Sessions>,
///     User(user): User,
///     id: Option<SessionId>,
///     resume: Resume,
///     Json(question): Json<String>,
/// ) -> Result<SessionResponse, Rejection> {
///     let provider = provider_fn(|_request| {
///         stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
///     });
///     let permit = sessions.permit(Some(&user))?;
///     let info = ChatEvent::session_info(Capabilities::new()).to_json().freeze();
///     let id = id.map_or_else(log::SessionId::random, |SessionId(id)| id);
///     let digest = digest_of(["ask", user.as_str(), &question]);
///     let start = Start::new(id, "ask".into(), digest, info).owner(Some(user));
///     let source = ProviderSource::new(provider, ChatRequest::from_user(question));
///     let started = sessions.start(permit, start, source).await?;
///     resume.of(&started.session).await
/// }
///
/// let app: Router = Router::new()
///     .route("/ask", post(ask))
///     .with_state(Sessions::in_memory());
/// ```
#[derive(Debug)]
pub struct Resume {
    reply: Reply,
    after: Position,
}

impl Resume {
    /// What the client has.
    pub fn after(&self) -> Position {
        self.after
    }

    /// What is changed about the response, such as its [heartbeat](Reply::heartbeat) or where
    /// sessions are [found](Self::found_below).
    pub fn map_reply(mut self, change: impl FnOnce(Reply) -> Reply) -> Self {
        self.reply = change(self.reply);
        self
    }

    /// Below which path `GET {path}/{id}` reads a session, for `Content-Location`.
    pub fn found_below(self, path: &str) -> Self {
        let mount = MountPath::new(path);
        self.map_reply(|reply| reply.mount_path(Some(mount)))
    }

    /// The response of a session that was started or attached to. Cancel safe.
    ///
    /// # Errors
    ///
    /// A [`Rejection`], if the log doesn't hold what the cursor stands at, or can't be read.
    pub async fn of(self, session: &Session) -> Result<SessionResponse, Rejection> {
        let response = self.reply.after(self.after).respond(session).await?;
        Ok(SessionResponse::new(response))
    }
}

impl<S: Sync> FromRequestParts<S> for Resume {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let native = Native::new();
        let encoder = native.encoder(parts)?.ok_or_else(|| {
            Refusal::new(
                Problem::NotAcceptable,
                "accept application/x-ndjson or text/event-stream",
            )
        })?;
        Ok(Self {
            after: native.cursor(parts)?.unwrap_or_default(),
            reply: Reply::new(native, encoder),
        })
    }
}
