use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use unbroken::{
    dialect::{Dialect, Native, Refusal},
    session::{Busy, StartError},
    store::StoreError,
};

/// A [`Refusal`] as axum's response, `application/problem+json`.
///
/// The errors of [`Sessions`](unbroken::session::Sessions) turn into it, so that a handler can use
/// `?`. Each says what to do, and nothing that strangers shouldn't know.
///
/// ```
/// use axum::{extract::State, http::StatusCode};
/// use unbroken::{session::Sessions, store::Abort};
/// use unbroken_axum::{Rejection, SessionId};
///
/// async fn stop(
///     State(sessions): State<Sessions>,
///     SessionId(id): SessionId,
/// ) -> Result<StatusCode, Rejection> {
///     sessions.abort(&id, Abort::default()).await?;
///     Ok(StatusCode::ACCEPTED)
/// }
/// # let _: axum::Router<Sessions> =
/// #     axum::Router::new().route("/{id}/stop", axum::routing::post(stop));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection(pub Refusal);

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        Native::new().refuse(&self.0).map(Body::from)
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<Busy> for Rejection {
    fn from(error: Busy) -> Self {
        Self(error.into())
    }
}

impl From<StartError> for Rejection {
    fn from(error: StartError) -> Self {
        Self(error.into())
    }
}

impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}
