//! Who is asking. Nothing in here knows of the chat.

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

/// Who is logged in.
#[derive(Debug, Clone)]
pub struct User(pub Arc<str>);

/// The application's own 401.
#[derive(Debug)]
pub struct Unauthorized;

/// A layer, by `from_fn_with_state`: turns a bearer token into a [`User`] on the request.
///
/// # Errors
///
/// [`Unauthorized`] where there is no token, or nobody's.
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
        // Absent where `authenticate` isn't outside: such a route answers nobody, rather than all.
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
