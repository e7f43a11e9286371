use std::{
    convert::Infallible,
    net::SocketAddr,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::{ConnectInfo, OriginalUri, Request},
    response::IntoResponse,
};
use http::request::Parts;
use tower_service::Service;
use unbroken::{access::PeerAddr, durable::MountPath};

/// Creates a router with a service below `path`.
///
/// The service learns the path under which clients find it, however deep the router is nested. Where
/// a proxy rewrites paths, name the public path with
/// [`DurableLayer::public_path`](unbroken::durable::DurableLayer::public_path) instead.
///
/// It also learns the address of the client, for [`PerPeer`](unbroken::access::PerPeer), if the router is
/// served with `into_make_service_with_connect_info::<SocketAddr>()`.
///
/// ```
/// use axum::Router;
/// # use futures_util::stream;
/// # use tower::Layer;
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
/// Panics if `path` is not a path that axum can nest at. `/` is allowed here.
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

/// A service that learns its mount path from the path that axum removed; created by [`mount`].
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
        set_mount_path(&mut head);
        set_address(&mut head);
        self.service.call(http::Request::from_parts(head, body))
    }
}

/// Adds the mount path to the extensions, unless they have one.
pub(crate) fn set_mount_path(head: &mut Parts) {
    if head.extensions.get::<MountPath>().is_some() {
        return;
    }
    let Some(OriginalUri(original)) = head.extensions.get() else {
        return;
    };
    // axum gives the service `/` also where the original path has no slash at its end.
    let (full, below) = (original.path(), head.uri.path());
    let mount = match below {
        "/" => Some(full.trim_end_matches('/')),
        below => full.strip_suffix(below),
    };
    if let Some(mount) = mount.map(MountPath::new) {
        head.extensions.insert(mount);
    }
}

/// Adds the address of the client to the extensions, unless they have one.
fn set_address(head: &mut Parts) {
    if head.extensions.get::<PeerAddr>().is_none()
        && let Some(ConnectInfo(address)) = head.extensions.get::<ConnectInfo<SocketAddr>>()
    {
        let address = PeerAddr::from(*address);
        head.extensions.insert(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_the_connection_unless_a_layer_has_set_it() {
        let (mut head, ()) = http::Request::new(()).into_parts();
        set_address(&mut head);
        assert_eq!(head.extensions.get::<PeerAddr>(), None);
        let connection: SocketAddr = "192.0.2.1:80".parse().unwrap();
        head.extensions.insert(ConnectInfo(connection));
        set_address(&mut head);
        assert_eq!(head.extensions.get(), Some(&PeerAddr::from(connection)));
        let other = PeerAddr::new(std::net::Ipv4Addr::LOCALHOST);
        head.extensions.insert(other);
        set_address(&mut head);
        assert_eq!(head.extensions.get(), Some(&other));
    }

    fn mount_path(original: &str, below: &str) -> Option<String> {
        let (mut head, ()) = http::Request::get(below).body(()).unwrap().into_parts();
        head.extensions
            .insert(OriginalUri(original.parse().unwrap()));
        set_mount_path(&mut head);
        let mount = head.extensions.get::<MountPath>()?;
        Some(mount.as_str().to_owned())
    }

    #[test]
    fn the_mount_path_is_what_axum_removed() {
        for (original, below, mount) in [
            ("/api/chat", "/", "/api/chat"),
            ("/api/chat/", "/", "/api/chat"),
            ("/api/chat/abc?x=1", "/abc?x=1", "/api/chat"),
            ("/api/chat/abc/abort", "/abc/abort", "/api/chat"),
            ("/abc", "/abc", ""),
            ("/", "/", ""),
        ] {
            assert_eq!(
                mount_path(original, below).as_deref(),
                Some(mount),
                "{original}"
            );
        }
        assert_eq!(
            mount_path("/other", "/abc"),
            None,
            "a path that was rewritten"
        );
    }
}
