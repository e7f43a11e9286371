use axum::{
    RequestPartsExt as _,
    extract::{FromRequestParts, OptionalFromRequestParts, RawPathParams},
};
use http::request::Parts;
use unbroken::{
    dialect::{Native, Problem, Refusal},
    log,
};

use crate::Rejection;

/// Extracts the session id of a request: the path parameter `id` or `session_id`, else the header
/// `X-Session-Id`, else the query's `sessionId`.
///
/// Rejects with 400 what isn't an id, and its absence; `Option<RequestSessionId>` is `None` where
/// there is none. No access policy runs before the handler: the handler looks for the session and
/// checks its owner.
///
/// ```
/// use axum::{Json, Router, extract::State, routing::get};
/// use serde_json::{Value, json};
/// use unbroken::{log::Owner, session::Sessions, store::StoreError};
/// use unbroken_axum::{Rejection, RequestSessionId};
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
/// async fn status(
///     State(sessions): State<Sessions>,
///     User(user): User,
///     RequestSessionId(id): RequestSessionId,
/// ) -> Result<Json<Value>, Rejection> {
///     let state = sessions.state(&id).await?;
///     if state.meta.owner.as_ref() != Some(&user) {
///         return Err(StoreError::NotFound.into()); // as if it weren't there
///     }
///     Ok(Json(json!({"status": state.status.as_str(), "tail": state.tail.get()})))
/// }
///
/// let app: Router = Router::new()
///     .route("/answers/{id}/status", get(status))
///     .with_state(Sessions::in_memory());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSessionId(pub log::SessionId);

impl<S: Send + Sync> FromRequestParts<S> for RequestSessionId {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let id = <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        id.ok_or_else(|| {
            Refusal::new(
                Problem::MalformedId,
                "name the session: in the path, in X-Session-Id, or as ?sessionId=",
            )
            .into()
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for RequestSessionId {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        let in_path = match parts.extract::<RawPathParams>().await {
            Ok(params) => params
                .iter()
                .find(|(name, _)| matches!(*name, "id" | "session_id"))
                .map(|(_, value)| value.to_owned()),
            Err(_) => None,
        };
        let Some(text) = in_path else {
            return Ok(Native::new().session_id(parts)?.map(Self));
        };
        match text.parse() {
            Ok(id) => Ok(Some(Self(id))),
            Err(error) => {
                let error: log::InvalidSessionId = error;
                Err(Refusal::new(Problem::MalformedId, error.to_string()).into())
            }
        }
    }
}
