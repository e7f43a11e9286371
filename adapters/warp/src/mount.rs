use std::{convert::Infallible, future::poll_fn};

use http::{Request, Response, request::Parts};
use http_body::Body;
use tower_service::Service;
use unbroken::{BoxError, durable::MountPath};
use warp::{Filter, Rejection, path::Tail};

use crate::{RequestBody, head, response_body::into_streaming};

/// Creates a filter that serves the rest of the path by a service.
///
/// The service learns the path under which clients find it. The filter answers every request that
/// reaches it, whatever the method: put other routes before it, or beside it with `or`. Bodies are
/// streamed in both directions. A body that fails ends the connection without its last chunk; over
/// HTTP/2 it resets the stream.
///
/// ```
/// use warp::Filter;
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
/// let chat = warp::path!("api" / "chat" / ..).and(unbroken_warp::mount(chat));
/// let app = chat.or(warp::path::end().map(|| "the page"));
/// # let _ = async { warp::serve(app).run(([127, 0, 0, 1], 3000)).await };
/// ```
///
/// The `/ ..` at the end is needed: without it warp expects the path to end there. Without a path
/// before it, the service is mounted at the root. Where a proxy rewrites paths, name the public path
/// with [`DurableLayer::public_path`](unbroken::durable::DurableLayer::public_path).
///
/// # Parts of the request
///
/// The service gets the method, the path and the query as they were sent (nothing is decoded), the
/// headers, and the body's data. warp's filters show neither the HTTP version, which the service sees
/// as HTTP/1.1, nor the scheme and authority of the URI, nor trailers, nor extensions. An extension
/// that a filter extracts by its type is passed on by [`mount_with`].
///
/// # Rejections
///
/// If a filter before this one takes the body (`warp::body::json()`, for example), warp answers 500.
pub fn mount<T, B>(
    service: T,
) -> impl Filter<Extract = (warp::reply::Response,), Error = Rejection> + Clone + Send + Sync
where
    T: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    T: Clone + Send + Sync + 'static,
    T::Future: Send,
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    mount_with(service, warp::any().map(|| ()))
}

/// Mounts a service as [`mount`] does, and puts the value that `filter` extracts into the extensions
/// of its requests.
///
/// The filter runs for every request. Its rejection is kept, so that the application makes this 401
/// where it makes its others. That includes `OPTIONS`: wrap the route in `warp::cors()` for browsers
/// that send it without credentials.
///
/// ```
/// use std::net::SocketAddr;
/// use warp::Filter;
/// # use futures_util::stream;
/// # use tower_layer::Layer;
/// # use unbroken::{
/// #     access::AnyoneWithTheId, chat::{ChatEvent, ProviderError, provider_fn},
/// #     durable::DurableLayer, session::Sessions,
/// # };
///
/// # type Unit = Result<ChatEvent, ProviderError>;
/// let provider = provider_fn(|request| {
///     let from: Option<&Option<SocketAddr>> = request.extensions.get();
///     // …
/// #   let _ = from;
/// #   stream::iter([Unit::Ok(ChatEvent::text("Hello"))])
/// });
/// let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).layer(provider);
/// let chat = unbroken_warp::mount_with(chat, warp::addr::remote());
/// # let _ = warp::path!("api" / "chat" / ..).and(chat);
/// ```
///
/// [`identify_with`](crate::identify_with) names owners by such a value.
pub fn mount_with<T, B, F, X>(
    service: T,
    filter: F,
) -> impl Filter<Extract = (warp::reply::Response,), Error = Rejection> + Clone + Send + Sync
where
    T: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    T: Clone + Send + Sync + 'static,
    T::Future: Send,
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
    F: Filter<Extract = (X,)> + Send + Sync + 'static,
    F::Error: Into<Rejection>,
    X: Clone + Send + Sync + 'static,
{
    // The body is the last: where the filter rejects, the next route still has it.
    filter
        .boxed()
        .and(head::head())
        .and(warp::path::tail())
        .and(warp::body::stream())
        .then(move |extension: X, mut head: Parts, tail: Tail, body| {
            let mut service = service.clone();
            strip_mount(&mut head, tail.as_str());
            head.extensions.insert(extension);
            let body = RequestBody::new(body, &head.headers);
            let request = Request::from_parts(head, body);
            async move {
                let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
                let Ok(response) = service.call(request).await;
                into_streaming(response)
            }
        })
}

/// Removes the mount from the path, and adds it to the extensions.
fn strip_mount(head: &mut Parts, tail: &str) {
    let full = head.uri.path();
    let mount = MountPath::new(full.strip_suffix(tail).unwrap_or_default());
    head.uri = head::uri(&format!("/{tail}"), head.uri.query());
    head.extensions.insert(mount);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_path_is_what_the_filters_before_removed() {
        for (full, tail, below, mount) in [
            ("/api/chat", "", "/", "/api/chat"),
            ("/api/chat/", "", "/", "/api/chat"),
            ("/api/chat/?x=1&x=%2F", "", "/?x=1&x=%2F", "/api/chat"),
            ("/api/chat/a%2Fb", "a%2Fb", "/a%2Fb", "/api/chat"),
            (
                "/api/chat/abc/abort",
                "abc/abort",
                "/abc/abort",
                "/api/chat",
            ),
            ("/api/chat//abc", "/abc", "//abc", "/api/chat"),
            ("/abc?", "abc", "/abc?", ""),
            ("/", "", "/", ""),
        ] {
            let (mut head, ()) = Request::get(full).body(()).unwrap().into_parts();
            strip_mount(&mut head, tail);
            assert_eq!(head.uri.to_string(), below, "{full}");
            let path: &MountPath = head.extensions.get().unwrap();
            assert_eq!(path.as_str(), mount, "{full}");
        }
    }
}
