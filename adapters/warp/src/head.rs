use std::{convert::Infallible, net::SocketAddr};

use http::{HeaderMap, Method, Request, Uri, request::Parts, uri::PathAndQuery};
use unbroken::access::PeerAddr;
use warp::{Filter, path::FullPath};

/// Creates a filter that extracts the parts of a request's head that warp shows: method, path, query,
/// headers, and the address of the client for `PerPeer`.
pub(crate) fn head() -> impl Filter<Extract = (Parts,), Error = Infallible> + Copy {
    let query = warp::query::raw()
        .map(Some)
        .or(warp::any().map(|| None))
        .unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::addr::remote())
        .map(
            |method: Method,
             path: FullPath,
             query: Option<String>,
             headers: HeaderMap,
             remote: Option<SocketAddr>| {
                let (mut head, ()) = Request::new(()).into_parts();
                head.method = method;
                head.uri = uri(path.as_str(), query.as_deref());
                head.headers = headers;
                if let Some(address) = remote {
                    head.extensions.insert(PeerAddr::from(address));
                }
                head
            },
        )
}

/// Builds a URI of a path and a query that were parts of one before.
pub(crate) fn uri(path: &str, query: Option<&str>) -> Uri {
    let text = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    // Both were parsed before. Of a CONNECT nothing but `/` is left.
    PathAndQuery::try_from(text).map_or_else(|_| Uri::from_static("/"), Uri::from)
}
