use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use unbroken::durable::SessionBody;

/// The stream of a session as a handler's answer, made by [`Resume::of`](crate::Resume::of).
///
/// ```
/// use axum::{Router, extract::State, routing::get};
/// use unbroken::session::Sessions;
/// use unbroken_axum::{Rejection, Resume, SessionId, SessionResponse};
///
/// async fn read(
///     State(sessions): State<Sessions>,
///     SessionId(id): SessionId,
///     resume: Resume,
/// ) -> Result<SessionResponse, Rejection> {
///     let session = sessions.attach(&id).await?;
///     resume.of(&session).await
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
    /// A response that [`Reply::with`](unbroken::durable::Reply::with) made.
    pub fn new(response: http::Response<SessionBody>) -> Self {
        Self { response }
    }

    /// The response itself.
    pub fn into_inner(self) -> http::Response<SessionBody> {
        self.response
    }
}

impl IntoResponse for SessionResponse {
    fn into_response(self) -> Response {
        self.response.map(Body::new)
    }
}
