use http::{Method, request::Parts};
use unbroken::{
    dialect::{Native, Problem, Refusal},
    durable::{MountPath, Reply, SessionBody},
    log::Position,
    session::Session,
};
use warp::Filter;

use crate::{Refused, SessionReply, head::head};

/// A filter that extracts how a client wants to read a session: the encoding that it accepts and its
/// cursor.
///
/// Rejects with 406 a client that accepts neither NDJSON nor SSE, and with 400 a malformed cursor.
///
/// A route of one's own names the owner, and [digests](unbroken::durable::digest_of) what it was
/// asked: a retry under the same id, owner and digest attaches to the session that is there. With a
/// digest that is always the same, one question would be answered with another one's session.
///
/// ```
/// use futures_util::stream;
/// use unbroken::{chat::{Capabilities, ChatEvent, ChatRequest, ProviderError, provider_fn}, durable::{ProviderSource, digest_of}, log::{Owner, SessionId}, session::{Sessions, Start}};
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
///     let start = Start::new(id, "ask".into(), digest, info).owner(Some(user));
///     let source = ProviderSource::new(provider, ChatRequest::from_user(question));
///     let started = sessions.start(permit, start, source).await?;
///     resume.of(&started.session).await
/// }
///
/// // `user()` is a filter of the application's.
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
        ResumeRequest::asked(&head).map_err(|refusal| warp::Rejection::from(Refused(refusal)))
    })
}

/// How a client wants to read a session, and what makes the reply; [`resume`] extracts it.
#[derive(Debug)]
pub struct ResumeRequest {
    reply: Reply,
    after: Position,
    bodyless: bool,
}

impl ResumeRequest {
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

    /// The reply of a session that was started or attached to; without a body if the request was a
    /// HEAD. Cancel safe.
    ///
    /// # Errors
    ///
    /// A [`Refused`], if the log doesn't hold what the cursor stands at, or can't be read.
    pub async fn of(self, session: &Session) -> Result<SessionReply, Refused> {
        let mut response = self.reply.after(self.after).respond(session).await?;
        if self.bodyless {
            // warp leaves the body on, and HTTP/2 resets the stream then.
            *response.body_mut() = SessionBody::empty();
        }
        Ok(SessionReply::new(response))
    }

    fn asked(head: &Parts) -> Result<Self, Refusal> {
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
