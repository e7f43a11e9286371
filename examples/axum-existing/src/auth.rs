//! The application's users. This module does not know the chat.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
    request::Parts,
};

use crate::App;

/// The authenticated user.
#[derive(Debug, Clone)]
pub struct User(pub Arc<str>);

/// The application's rejection of a request without a user, a 401.
#[derive(Debug)]
pub struct Unauthorized;

/// Turns a bearer token into a [`User`] among the request's extensions.
///
/// A layer for `from_fn_with_state`.
///
/// # Errors
///
/// Returns [`Unauthorized`] if the token is missing or unknown.
pub async fn authenticate(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Unauthorized> {
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let user = token.and_then(|token| app.user_of(token));
    request.extensions_mut().insert(user.ok_or(Unauthorized)?);
    Ok(next.run(request).await)
}

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Unauthorized;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Unauthorized> {
        // Absent if `authenticate` is not around the route, which then refuses every request.
        parts.extensions.get().cloned().ok_or(Unauthorized)
    }
}

impl IntoResponse for Unauthorized {
    fn into_response(self) -> Response {
        let scheme = [(WWW_AUTHENTICATE, "Bearer")];
        let why = Json("who are you? send your token");
        (StatusCode::UNAUTHORIZED, scheme, why).into_response()
    }
}
