use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use unbroken::{
    dialect::{Dialect, Native, Refusal},
    session::{Busy, StartError},
    store::StoreError,
};

/// A [`Refusal`] as a response of axum, `application/problem+json`.
///
/// The errors of [`Sessions`](unbroken::session::Sessions) convert into it, so that a handler can use
/// `?`. Each says what to do, and reveals nothing about sessions of other owners. Refuse a session
/// that isn't the caller's as [`StoreError::NotFound`], so that absent and forbidden sessions look
/// alike. Of a session that is gone, [`StoreError::Gone`] has the owner.
///
/// ```
/// use axum::{extract::State, http::StatusCode};
/// use unbroken::{log::Owner, session::Sessions, store::{AbortRequest, StoreError}};
/// use unbroken_axum::{Rejection, RequestSessionId};
/// # #[derive(Clone)] struct User(Owner);
/// # impl<S: Sync> axum::extract::FromRequestParts<S> for User {
/// #     type Rejection = StatusCode;
/// #     async fn from_request_parts(
/// #         parts: &mut http::request::Parts, _: &S,
/// #     ) -> Result<Self, StatusCode> {
/// #         parts.extensions.get().cloned().ok_or(StatusCode::UNAUTHORIZED)
/// #     }
/// # }
///
/// // `User` is an extractor of the application.
/// async fn stop(
///     State(sessions): State<Sessions>,
///     User(user): User,
///     RequestSessionId(id): RequestSessionId,
/// ) -> Result<StatusCode, Rejection> {
///     let state = sessions.state(&id).await?;
///     if state.meta.owner.as_ref() != Some(&user) {
///         return Err(StoreError::NotFound.into());
///     }
///     sessions.abort(&id, AbortRequest::default()).await?;
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
