use axum::extract::FromRequestParts;
use http::request::Parts;
use unbroken::{dialect::Native, log::Position};

use crate::Rejection;

/// Extracts the cursor that a client resumes from: `Last-Event-ID`, else `X-Last-LSN`, else the
/// query's `after`, else its `lastLsn`, else the start.
///
/// Rejects with 400 what isn't a cursor. The extractor does not look into the log: a reader that is
/// opened at the cursor finds out if the log holds its record.
///
/// ```
/// use axum::{Router, extract::State, routing::get};
/// use unbroken::{log::Owner, session::Sessions, store::StoreError};
/// use unbroken_axum::{Rejection, RequestCursor, RequestSessionId};
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
/// async fn missed(
///     State(sessions): State<Sessions>,
///     User(user): User,
///     RequestSessionId(id): RequestSessionId,
///     RequestCursor(after): RequestCursor,
/// ) -> Result<String, Rejection> {
///     let state = sessions.state(&id).await?;
///     if state.meta.owner.as_ref() != Some(&user) {
///         return Err(StoreError::NotFound.into()); // as if it weren't there
///     }
///     Ok(format!("{} events", state.tail.get().saturating_sub(after.lsn.get())))
/// }
/// # let _: Router<Sessions> = Router::new().route("/{id}/missed", get(missed));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestCursor(pub Position);

impl<S: Sync> FromRequestParts<S> for RequestCursor {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self(Native::new().cursor(parts)?.unwrap_or_default()))
    }
}
