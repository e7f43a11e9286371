use http::{Method, request::Parts};
use unbroken::{
    dialect::{Native, Problem, Refusal},
    durable::{MountPath, Reply, SessionBody},
    log::Position,
    session::Session,
};
use warp::Filter;

use crate::{Refused, SessionReply, head::head};

/// Creates a filter that extracts the encoding that a client accepts and its cursor.
///
/// Rejects with 406 a client that accepts neither NDJSON nor SSE, and with 400 a malformed cursor.
///
/// A route that starts sessions names the owner, and [digests](unbroken::durable::digest_of) its
/// input. A retry under the same id, owner and digest attaches to the existing session. A constant
/// digest would answer one question with the session of another.
///
/// ```
/// use futures_util::stream;
/// use unbroken::{chat::{Capabilities, ChatEvent, ChatRequest, ProviderError, provider_fn}, durable::{ProviderSource, digest_of}, log::{Owner, ServiceName, SessionId}, session::{SessionSpec, Sessions}};
/// use unbroken_warp::{Refused, ResumeRequest, SessionReply, optional_session_id, recover, resume};
/// use warp::Filter;
/// # #[derive(Clone)] struct User(Owner);
/// # fn user() -> impl Filter<Extract = (User,), Error = warp::Rejection> + Copy {
/// #     warp::ext::get::<User>()
/// # }
///
/// async fn ask(
///     sessions: Sessions,
///     User(user): User,
///     id: Option<SessionId>,
///     resume: ResumeRequest,
///     question: String,
/// ) -> Result<SessionReply, Refused> {
///     let provider = provider_fn(|_request| {
///         stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
///     });
///     let permit = sessions.permit(Some(&user))?;
///     let info = ChatEvent::session_info(Capabilities::new()).to_json().freeze();
///     let id = id.unwrap_or_else(SessionId::random);
///     let digest = digest_of(["ask", user.as_str(), &question]);
///     let spec = SessionSpec::new(id, ServiceName::new("ask"), digest, info).owner(Some(user));
///     let source = ProviderSource::new(provider, ChatRequest::from_user(question));
///     let started = sessions.start(permit, spec, source).await?;
///     resume.respond(&started.session).await
/// }
///
/// // `user()` is a filter of the application.
/// let sessions = Sessions::in_memory();
/// let ask = warp::any()
///     .map(move || sessions.clone())
///     .and(warp::path!("ask"))
///     .and(warp::post())
///     .and(user())
///     .and(optional_session_id())
///     .and(resume())
///     .and(warp::body::content_length_limit(64 * 1024))
///     .and(warp::body::json())
///     .then(ask)
///     .recover(recover);
/// # let _ = async { warp::serve(ask).run(([127, 0, 0, 1], 3000)).await };
/// ```
pub fn resume() -> impl Filter<Extract = (ResumeRequest,), Error = warp::Rejection> + Copy {
    head().and_then(async |head: Parts| {
        ResumeRequest::parse_head(&head).map_err(|refusal| warp::Rejection::from(Refused(refusal)))
    })
}

/// The encoding and the cursor of a client that reads a session; extracted by [`resume`].
#[derive(Debug)]
pub struct ResumeRequest {
    reply: Reply,
    after: Position,
    bodyless: bool,
}

impl ResumeRequest {
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

    /// Creates the reply of a session that was started or attached to.
    ///
    /// The reply to a HEAD has no body. Cancel safe.
    ///
    /// # Errors
    ///
    /// Returns a [`Refused`] if the log doesn't hold the record at the cursor, or can't be read.
    pub async fn respond(self, session: &Session) -> Result<SessionReply, Refused> {
        let mut response = self.reply.after(self.after).respond(session).await?;
        if self.bodyless {
            // warp would send the body, and HTTP/2 would reset the stream.
            *response.body_mut() = SessionBody::empty();
        }
        Ok(SessionReply::new(response))
    }

    fn parse_head(head: &Parts) -> Result<Self, Refusal> {
        let native = Native::new();
        let encoder = native.encoder(head)?.ok_or_else(|| {
            Refusal::new(
                Problem::NotAcceptable,
                "accept application/x-ndjson or text/event-stream",
            )
        })?;
        Ok(Self {
            after: native.cursor(head)?.unwrap_or_default(),
            reply: Reply::new(native, encoder),
            bodyless: head.method == Method::HEAD,
        })
    }
}
