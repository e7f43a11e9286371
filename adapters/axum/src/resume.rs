use axum::extract::FromRequestParts;
use http::request::Parts;
use unbroken::{
    dialect::{Native, Problem, Refusal},
    durable::{MountPath, Reply},
    log::Position,
    session::Session,
};

use crate::{Rejection, SessionResponse};

/// Extracts the encoding that a client accepts and its cursor, and makes the response of a session.
///
/// Rejects with 406 a client that accepts neither NDJSON nor SSE, and with 400 a malformed cursor.
///
/// A handler that starts sessions names the owner, and [digests](unbroken::durable::digest_of) its
/// input. A retry under the same id, owner and digest attaches to the existing session. A constant
/// digest would answer one question with the session of another.
///
/// ```
/// use axum::{Json, Router, extract::State, routing::post};
/// use futures_util::stream;
/// use unbroken::{chat::{Capabilities, ChatEvent, ChatRequest, ProviderError, provider_fn}, durable::{ProviderSource, digest_of}, log::{Owner, ServiceName, SessionId}, session::{SessionSpec, Sessions}};
/// use unbroken_axum::{Rejection, RequestSessionId, Resume, SessionResponse};
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
/// // `User` is an extractor of the application.
/// async fn ask(
///     State(sessions): State<Sessions>,
///     User(user): User,
///     id: Option<RequestSessionId>,
///     resume: Resume,
///     Json(question): Json<String>,
/// ) -> Result<SessionResponse, Rejection> {
///     let provider = provider_fn(|_request| {
///         stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
///     });
///     let permit = sessions.permit(Some(&user))?;
///     let info = ChatEvent::session_info(Capabilities::new()).to_json().freeze();
///     let id = id.map_or_else(SessionId::random, |RequestSessionId(id)| id);
///     let digest = digest_of(["ask", user.as_str(), &question]);
///     let spec = SessionSpec::new(id, ServiceName::new("ask"), digest, info).owner(Some(user));
///     let source = ProviderSource::new(provider, ChatRequest::from_user(question));
///     let started = sessions.start(permit, spec, source).await?;
///     resume.respond(&started.session).await
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
    /// Returns the position of the last record that the client has.
    pub fn after(&self) -> Position {
        self.after
    }

    /// Changes the settings of the response, such as its [heartbeat](Reply::heartbeat).
    pub fn map_reply(mut self, change: impl FnOnce(Reply) -> Reply) -> Self {
        self.reply = change(self.reply);
        self
    }

    /// Sets the path below which `GET {path}/{id}` reads a session, for `Content-Location`.
    pub fn mount_path(self, path: &str) -> Self {
        let mount = MountPath::new(path);
        self.map_reply(|reply| reply.mount_path(Some(mount)))
    }

    /// Creates the response of a session that was started or attached to.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// Returns a [`Rejection`] if the log doesn't hold the record at the cursor, or can't be read.
    pub async fn respond(self, session: &Session) -> Result<SessionResponse, Rejection> {
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
