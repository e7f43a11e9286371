use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    Request, Response, StatusCode, Uri,
    uri::{Parts, PathAndQuery},
};
use http_body_util::{Either, Empty};
use pin_project_lite::pin_project;
use tower_service::Service;
use unbroken::{BoxError, durable::MountPath};

/// Mounts a service below `path`.
///
/// The service sees the rest of the path, and learns its mount path by a [`MountPath`] in the
/// extensions. Other requests are answered with 404, or by [another](Mount::or) service.
///
/// This is not a router: it serves a chat beside a page.
///
/// ```
/// use unbroken_hyper::mount;
/// # use futures_util::stream;
/// # use tower::Layer;
/// # use unbroken::{
/// #     access::AnyoneWithTheId, chat::{ChatEvent, ProviderError, provider_fn},
/// #     durable::DurableLayer, session::Sessions,
/// # };
/// # let provider = provider_fn(|_| stream::iter([Ok::<_, ProviderError>(ChatEvent::text("Hi"))]));
/// # let chat = DurableLayer::new(Sessions::in_memory(), AnyoneWithTheId::new()).layer(provider);
/// use std::convert::Infallible;
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use hyper::{Request, Response, body::Incoming};
/// use tower::service_fn;
///
/// let page = service_fn(|_: Request<Incoming>| async {
///     Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("the page")))
/// });
/// let app = mount("/api/chat", chat).or(page);
/// # fn serves<T: tower::Service<Request<Incoming>>>(_: T) {}
/// # serves(app);
/// ```
///
/// # Panics
///
/// Panics if `path` doesn't begin with a slash.
pub fn mount<S>(path: &str, service: S) -> Mount<S, NotFound> {
    assert!(
        path.starts_with('/'),
        "the path of a mount must begin with a slash: {path}"
    );
    Mount {
        path: MountPath::new(path),
        service,
        other: NotFound,
    }
}

/// A service below a path, and another one for all other paths; created by [`mount`].
#[derive(Debug, Clone)]
pub struct Mount<S, F> {
    path: MountPath,
    service: S,
    other: F,
}

/// A service that answers every request with 404 and an empty body.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotFound;

impl<S, F> Mount<S, F> {
    /// Sets the service that answers requests which aren't below the path, instead of 404.
    ///
    /// It may be another mount.
    pub fn or<G>(self, other: G) -> Mount<S, G> {
        Mount {
            path: self.path,
            service: self.service,
            other,
        }
    }
}

impl<S, F, A, C, B> Service<Request<B>> for Mount<S, F>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Error: Into<BoxError>,
    F: Service<Request<B>, Response = Response<C>>,
    F::Error: Into<BoxError>,
{
    type Response = Response<Either<A, C>>;
    type Error = BoxError;
    type Future = MountFuture<S::Future, F::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        ready!(self.service.poll_ready(cx)).map_err(Into::into)?;
        self.other.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let response = if let Some(below) = below(self.path.as_str(), request.uri()) {
            *request.uri_mut() = below;
            let path = match request.extensions().get::<MountPath>() {
                Some(above) => MountPath::new(&format!("{}{}", above.as_str(), self.path.as_str())),
                None => self.path.clone(),
            };
            request.extensions_mut().insert(path);
            let response = self.service.call(request);
            MountFutureState::Service { response }
        } else {
            let response = self.other.call(request);
            MountFutureState::Other { response }
        };
        MountFuture { response }
    }
}

/// Returns the URI that the mounted service sees, or `None` if the request is not below the mount.
fn below(mount: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path().strip_prefix(mount)?;
    let path = match rest {
        "" => "/",
        rest if rest.starts_with('/') => rest,
        _ => return None,
    };
    let path: PathAndQuery = match uri.query() {
        Some(query) => format!("{path}?{query}").parse().ok()?,
        None => path.parse().ok()?,
    };
    let mut parts: Parts = uri.clone().into_parts();
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).ok()
}

impl<B> Service<Request<B>> for NotFound {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let mut response = Response::new(Empty::new());
        *response.status_mut() = StatusCode::NOT_FOUND;
        ready(Ok(response))
    }
}

pin_project! {
    /// A future of the response of either service.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct MountFuture<S, F> {
        #[pin]
        response: MountFutureState<S, F>,
    }
}

pin_project! {
    #[project = MountFutureProjection]
    #[derive(Debug)]
    enum MountFutureState<S, F> {
        Service { #[pin] response: S },
        Other { #[pin] response: F },
    }
}

impl<S, F, A, C, E, G> Future for MountFuture<S, F>
where
    S: Future<Output = Result<Response<A>, E>>,
    E: Into<BoxError>,
    F: Future<Output = Result<Response<C>, G>>,
    G: Into<BoxError>,
{
    type Output = Result<Response<Either<A, C>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project().response.project() {
            MountFutureProjection::Service { response } => ready!(response.poll(cx))
                .map(|response| response.map(Either::Left))
                .map_err(Into::into),
            MountFutureProjection::Other { response } => ready!(response.poll(cx))
                .map(|response| response.map(Either::Right))
                .map_err(Into::into),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_sees_the_path_below_its_mount() {
        for (mount, uri, seen) in [
            ("/api/chat", "/api/chat", Some("/")),
            ("/api/chat", "/api/chat?after=1", Some("/?after=1")),
            ("/api/chat", "/api/chat/", Some("/")),
            (
                "/api/chat",
                "/api/chat/abc/abort?x=/y",
                Some("/abc/abort?x=/y"),
            ),
            (
                "/api/chat",
                "http://host:1/api/chat/abc",
                Some("http://host:1/abc"),
            ),
            ("/api/chat", "/api/chats", None),
            ("/api/chat", "/api", None),
            ("/api/chat", "*", None),
            ("", "/abc", Some("/abc")),
            ("", "/", Some("/")),
        ] {
            let below = below(mount, &uri.parse().unwrap());
            assert_eq!(below.map(|uri| uri.to_string()).as_deref(), seen, "{uri}");
        }
    }
}
