use unbroken::durable::SessionBody;
use warp::{Reply, reply::Response};

use crate::response_body::into_streaming;

/// The reply of a route that streams a session; created by
/// [`ResumeRequest::respond`](crate::ResumeRequest::respond).
///
/// ```
/// use unbroken::{log::{Owner, SessionId}, session::Sessions, store::StoreError};
/// use unbroken_warp::{Refused, ResumeRequest, SessionReply, recover, resume, session_id};
/// use warp::Filter;
/// # #[derive(Clone)] struct User(Owner);
/// # fn user() -> impl Filter<Extract = (User,), Error = warp::Rejection> + Copy {
/// #     warp::ext::get::<User>()
/// # }
///
/// async fn read(
///     sessions: Sessions,
///     id: SessionId,
///     User(user): User,
///     resume: ResumeRequest,
/// ) -> Result<SessionReply, Refused> {
///     let session = sessions.attach(&id).await?;
///     if session.meta().owner.as_ref() != Some(&user) {
///         return Err(StoreError::NotFound.into()); // as if it weren't there
///     }
///     resume.respond(&session).await
/// }
///
/// // GET /answers/{id}; `user()` is a filter of the application.
/// let sessions = Sessions::in_memory();
/// let read = warp::any()
///     .map(move || sessions.clone())
///     .and(warp::path("answers"))
///     .and(session_id())
///     .and(warp::path::end())
///     .and(warp::get())
///     .and(user())
///     .and(resume())
///     .then(read)
///     .recover(recover);
/// # let _ = async { warp::serve(read).run(([127, 0, 0, 1], 3000)).await };
/// ```
#[derive(Debug)]
#[must_use = "a reply does nothing until it is returned"]
pub struct SessionReply {
    response: http::Response<SessionBody>,
}

impl SessionReply {
    /// Creates a reply from a response of [`Reply::respond`](unbroken::durable::Reply::respond).
    pub fn new(response: http::Response<SessionBody>) -> Self {
        Self { response }
    }

    /// Returns the plain response.
    pub fn into_inner(self) -> http::Response<SessionBody> {
        self.response
    }
}

impl Reply for SessionReply {
    fn into_response(self) -> Response {
        into_streaming(self.response)
    }
}
