use std::{convert::Infallible, future::poll_fn};

use http::{Request, Response, request::Parts};
use http_body::Body;
use tower_service::Service;
use unbroken::{BoxError, durable::MountPath};
use warp::{Filter, Rejection, path::Tail};

use crate::{RequestBody, head, response_body::streamed};

/// A filter that serves whatever is left of the path by a service, and tells the service under which
/// path clients find it.
///
/// It answers every request that it gets, whatever its method: put what else is there before it, or
/// beside it with `or`. Bodies are streamed in and out; a body that fails ends the connection without
/// its last chunk, over HTTP/2 it resets the stream.
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
/// Mind the `/ ..` at the end: without it warp expects the path to end there. Without any path
/// before it, the service is mounted at the root. Where a proxy rewrites paths, name the public one
/// with [`DurableLayer::public_path`](unbroken::durable::DurableLayer::public_path).
///
/// # What gets through
///
/// Method, path and query as they were sent (nothing is decoded), headers, and the body's data.
/// warp's filters show neither the HTTP version, which the service sees as HTTP/1.1, nor the scheme
/// and authority of the URI, nor trailers, nor extensions, but for those that one asks for by their
/// type: [`mount_with`] hands them on.
///
/// # Rejections
///
/// A filter before this one that takes the body (`warp::body::json()`, say) leaves none: warp
/// answers 500 then.
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

/// The same as [`mount`], for a service that is to know what another filter found out: it finds it in
/// the extensions of its requests.
///
/// The filter runs for every request. Its rejection stands, so that an application's own 401 is
/// made where its others are. That goes for `OPTIONS` too: wrap the route in `warp::cors()` for
/// browsers that ask without credentials.
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
/// [`identify_with`](crate::identify_with) names owners this way.
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
    // The body last: where the filter rejects, it is left to the next route.
    filter
        .boxed()
        .and(head::head())
        .and(warp::path::tail())
        .and(warp::body::stream())
        .then(move |found: X, mut head: Parts, tail: Tail, body| {
            let mut service = service.clone();
            below(&mut head, tail.as_str());
            head.extensions.insert(found);
            let body = RequestBody::new(body, &head.headers);
            let request = Request::from_parts(head, body);
            async move {
                let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
                let Ok(response) = service.call(request).await;
                streamed(response)
            }
        })
}

/// Leaves of the path what is below the mount, and notes the rest.
fn below(head: &mut Parts, tail: &str) {
    let whole = head.uri.path();
    let mount = MountPath::new(whole.strip_suffix(tail).unwrap_or_default());
    head.uri = head::uri(&format!("/{tail}"), head.uri.query());
    head.extensions.insert(mount);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_what_the_filters_before_took_away() {
        for (whole, tail, below_it, mount) in [
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
            let (mut head, ()) = Request::get(whole).body(()).unwrap().into_parts();
            below(&mut head, tail);
            assert_eq!(head.uri.to_string(), below_it, "{whole}");
            let told: &MountPath = head.extensions.get().unwrap();
            assert_eq!(told.as_str(), mount, "{whole}");
        }
    }
}
