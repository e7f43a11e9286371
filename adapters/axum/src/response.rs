use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use unbroken::durable::SessionBody;

/// The response of a handler that streams a session; created by
/// [`Resume::respond`](crate::Resume::respond).
///
/// ```
/// use axum::{Router, extract::State, routing::get};
/// use unbroken::{log::Owner, session::Sessions, store::StoreError};
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
/// async fn read(
///     State(sessions): State<Sessions>,
///     User(user): User,
///     RequestSessionId(id): RequestSessionId,
///     resume: Resume,
/// ) -> Result<SessionResponse, Rejection> {
///     let session = sessions.attach(&id).await?;
///     if session.meta().owner.as_ref() != Some(&user) {
///         return Err(StoreError::NotFound.into()); // as if it weren't there
///     }
///     resume.respond(&session).await
/// }
///
/// let app: Router = Router::new()
///     .route("/answers/{id}", get(read))
///     .with_state(Sessions::in_memory());
/// ```
#[derive(Debug)]
#[must_use = "a response does nothing until it is returned"]
pub struct SessionResponse {
    response: http::Response<SessionBody>,
}

impl SessionResponse {
    /// Creates a response from one of [`Reply::respond`](unbroken::durable::Reply::respond).
    pub fn new(response: http::Response<SessionBody>) -> Self {
        Self { response }
    }

    /// Returns the plain response.
    pub fn into_inner(self) -> http::Response<SessionBody> {
        self.response
    }
}

impl IntoResponse for SessionResponse {
    fn into_response(self) -> Response {
        self.response.map(Body::new)
    }
}
