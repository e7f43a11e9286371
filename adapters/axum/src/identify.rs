use std::{any::type_name, fmt, marker::PhantomData};

use axum::{
    body::to_bytes,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{StatusCode, request::Parts};
use unbroken::{
    BoxFuture,
    access::{Identified, Identify, IntoOwner},
};

use crate::mount::set_mount_path;

/// Names the owner of a session by an extractor, for
/// [`OnlyTheOwner`](unbroken::access::OnlyTheOwner) and other policies.
///
/// The function returns an `Owner`, a `String`, a `&str`, or an `Option` of one of these; see
/// [`IntoOwner`]. A request for which it returns `None` has no owner. A rejection of the extractor, a
/// 401 for example, is sent to the client unchanged. For an extractor that needs the state of the
/// application, see [`with_state`](IdentifyWith::with_state).
///
/// ```
/// use axum::{extract::FromRequestParts, http::{StatusCode, request::Parts}};
/// use unbroken::access::OnlyTheOwner;
/// use unbroken_axum::identify_with;
///
/// struct User {
///     id: u64,
/// }
///
/// impl<S: Sync> FromRequestParts<S> for User {
///     type Rejection = (StatusCode, [(&'static str, &'static str); 1]);
///
///     async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
///         // Look at a cookie, a token, a session of the application's …
/// #       let _ = parts;
///         Err((StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")]))
///     }
/// }
///
/// let access = OnlyTheOwner::new(identify_with(|user: User| user.id.to_string()));
/// ```
pub fn identify_with<E, F, O>(owner: F) -> IdentifyWith<E, F>
where
    F: Fn(E) -> O,
    O: IntoOwner,
{
    IdentifyWith {
        owner,
        state: (),
        extractor: PhantomData,
    }
}

/// Names owners by the extractor `E`; created by [`identify_with`].
pub struct IdentifyWith<E, F, S = ()> {
    owner: F,
    state: S,
    extractor: PhantomData<fn() -> E>,
}

impl<E, F, S> IdentifyWith<E, F, S> {
    /// Sets the state that the extractor needs.
    pub fn with_state<T>(self, state: T) -> IdentifyWith<E, F, T> {
        IdentifyWith {
            owner: self.owner,
            state,
            extractor: PhantomData,
        }
    }
}

impl<E, F, S, O> Identify for IdentifyWith<E, F, S>
where
    E: FromRequestParts<S> + 'static,
    F: Fn(E) -> O + Send + Sync + 'static,
    S: Send + Sync + 'static,
    O: IntoOwner,
{
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
        Box::pin(async move {
            set_mount_path(head);
            let rejection = match E::from_request_parts(head, &self.state).await {
                Ok(extracted) => return Ok((self.owner)(extracted).into_owner()),
                Err(rejection) => rejection.into_response(),
            };
            Err(collect(rejection).await)
        })
    }
}

/// Reads the body of the response into memory.
async fn collect(response: Response) -> http::Response<Bytes> {
    let (head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        let mut response = http::Response::new(Bytes::new());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    };
    http::Response::from_parts(head, bytes)
}

impl<E, F: Clone, S: Clone> Clone for IdentifyWith<E, F, S> {
    fn clone(&self) -> Self {
        Self {
            owner: self.owner.clone(),
            state: self.state.clone(),
            extractor: PhantomData,
        }
    }
}

impl<E, F, S> fmt::Debug for IdentifyWith<E, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdentifyWith")
            .field(&format_args!("{}", type_name::<E>()))
            .finish()
    }
}
