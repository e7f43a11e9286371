use std::{any::type_name, fmt, future::ready, marker::PhantomData};

use http::request::Parts;
use unbroken::{
    BoxFuture,
    access::{Identified, Identify, IntoOwner},
};

/// Names the owner of a session by the value that the filter of [`mount_with`](crate::mount_with)
/// extracted, for [`OnlyTheOwner`](unbroken::access::OnlyTheOwner) and other policies.
///
/// The function returns an `Owner`, a `String`, a `&str`, or an `Option` of one of these; see
/// [`IntoOwner`]. A request for which it returns `None` has no owner. Neither has a request without a
/// value of this type, as behind [`mount`](crate::mount); [`OnlyTheOwner`](unbroken::access::OnlyTheOwner)
/// refuses such a request with 403.
///
/// ```
/// use unbroken::access::OnlyTheOwner;
/// use unbroken_warp::{identify_with, mount_with};
/// use warp::{Filter, Rejection, reject::Reject};
/// # use futures_util::stream;
/// # use tower_layer::Layer;
/// # use unbroken::{
/// #     chat::{ChatEvent, ProviderError, provider_fn}, durable::DurableLayer, session::Sessions,
/// # };
/// # let provider = provider_fn(|_request| {
/// #     stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
/// # });
/// # let sessions = Sessions::in_memory();
///
/// #[derive(Clone)]
/// struct User {
///     id: u64,
/// }
///
/// #[derive(Debug)]
/// struct NotSignedIn; // the application's `recover` makes a 401 of it
///
/// impl Reject for NotSignedIn {}
///
/// fn user() -> impl Filter<Extract = (User,), Error = Rejection> + Copy {
///     warp::header::optional("authorization").and_then(async |token: Option<String>| {
///         // Look at the token …
/// #       let _ = token;
///         Err(Rejection::from(NotSignedIn))
///     })
/// }
///
/// let access = OnlyTheOwner::new(identify_with(|user: User| user.id.to_string()));
/// let chat = DurableLayer::new(sessions, access).layer(provider);
/// let app = warp::path!("api" / "chat" / ..).and(mount_with(chat, user()));
/// # let _ = app;
/// ```
///
/// Where the head of the request is enough, a closure over [`Parts`] is an [`Identify`] by itself. To
/// answer requests without an owner, implement [`Identify`].
pub fn identify_with<X, F, O>(owner: F) -> IdentifyByExtension<X, F>
where
    F: Fn(X) -> O,
    O: IntoOwner,
{
    IdentifyByExtension {
        owner,
        extension: PhantomData,
    }
}

/// Names owners by the extension `X`; created by [`identify_with`].
pub struct IdentifyByExtension<X, F> {
    owner: F,
    extension: PhantomData<fn(X)>,
}

impl<X, F, O> Identify for IdentifyByExtension<X, F>
where
    X: Clone + Send + Sync + 'static,
    F: Fn(X) -> O + Send + Sync + 'static,
    O: IntoOwner,
{
    fn identify<'a>(&'a self, head: &'a mut Parts) -> BoxFuture<'a, Identified> {
        let extension = head.extensions.get::<X>().cloned();
        let owner = extension.and_then(|it| (self.owner)(it).into_owner());
        Box::pin(ready(Ok(owner)))
    }
}

impl<X, F: Clone> Clone for IdentifyByExtension<X, F> {
    fn clone(&self) -> Self {
        Self {
            owner: self.owner.clone(),
            extension: PhantomData,
        }
    }
}

impl<X, F> fmt::Debug for IdentifyByExtension<X, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdentifyByExtension")
            .field(&format_args!("{}", type_name::<X>()))
            .finish()
    }
}
