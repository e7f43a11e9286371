use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::{OriginalUri, Request},
    response::IntoResponse,
};
use http::request::Parts;
use tower_service::Service;
use unbroken::durable::MountPath;

/// A router with a service below `path`, which tells the service under which path clients find it,
/// however deep the router is nested.
///
/// Where a proxy rewrites paths, name the public one with
/// [`DurableLayer::public_path`](unbroken::durable::DurableLayer::public_path) instead.
///
/// ```
/// use axum::Router;
/// # use futures_util::stream;
/// # use tower_layer::Layer;
/// # use unbroken::{
/// #     access::AnyoneWithTheId, chat::{ChatEvent, ProviderError, provider_fn},
/// #     durable::DurableLayer, session::Sessions,
/// # };
/// # let provider = provider_fn(|_request| {
/// #     stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hello"))])
/// # });
/// # let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).layer(provider);
///
/// let api = unbroken_axum::mount("/chat", chat);
/// let app: Router = Router::new().nest("/api", api);
/// ```
///
/// # Panics
///
/// If `path` is not a path that axum can nest at. `/` is one here.
pub fn mount<T, S>(path: &str, service: T) -> Router<S>
where
    T: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
    T::Response: IntoResponse,
    T::Future: Send + 'static,
    S: Clone + Send + Sync + 'static,
{
    let service = Mounted { service };
    match path.trim_end_matches('/') {
        "" => Router::new().fallback_service(service),
        path => Router::new().nest_service(path, service),
    }
}

/// A service that knows where it is mounted, by the path that axum took away; [`mount`] makes it.
#[derive(Debug, Clone)]
pub struct Mounted<T> {
    service: T,
}

impl<T, B> Service<http::Request<B>> for Mounted<T>
where
    T: Service<http::Request<B>>,
{
    type Response = T::Response;
    type Error = T::Error;
    type Future = T::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> T::Future {
        let (mut head, body) = request.into_parts();
        tell_mount(&mut head);
        self.service.call(http::Request::from_parts(head, body))
    }
}

/// Notes where the service is mounted, unless it is known.
pub(crate) fn tell_mount(head: &mut Parts) {
    if head.extensions.get::<MountPath>().is_some() {
        return;
    }
    let Some(OriginalUri(original)) = head.extensions.get() else {
        return;
    };
    // axum gives the service `/` also where the original has no slash at its end.
    let (whole, below) = (original.path(), head.uri.path());
    let mount = match below {
        "/" => Some(whole.trim_end_matches('/')),
        below => whole.strip_suffix(below),
    };
    if let Some(mount) = mount.map(MountPath::new) {
        head.extensions.insert(mount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(original: &str, below: &str) -> Option<String> {
        let (mut head, ()) = http::Request::get(below).body(()).unwrap().into_parts();
        head.extensions
            .insert(OriginalUri(original.parse().unwrap()));
        tell_mount(&mut head);
        let mount = head.extensions.get::<MountPath>()?;
        Some(mount.as_str().to_owned())
    }

    #[test]
    fn the_mount_is_what_axum_took_away() {
        for (original, below, mount) in [
            ("/api/chat", "/", "/api/chat"),
            ("/api/chat/", "/", "/api/chat"),
            ("/api/chat/abc?x=1", "/abc?x=1", "/api/chat"),
            ("/api/chat/abc/abort", "/abc/abort", "/api/chat"),
            ("/abc", "/abc", ""),
            ("/", "/", ""),
        ] {
            assert_eq!(told(original, below).as_deref(), Some(mount), "{original}");
        }
        assert_eq!(told("/other", "/abc"), None, "a path that was rewritten");
    }
}
