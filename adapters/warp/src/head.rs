use std::convert::Infallible;

use http::{HeaderMap, Method, Request, Uri, request::Parts, uri::PathAndQuery};
use warp::{Filter, path::FullPath};

/// The head of the request, as far as warp shows it: method, path, query and headers.
pub(crate) fn head() -> impl Filter<Extract = (Parts,), Error = Infallible> + Copy {
    let query = warp::query::raw()
        .map(Some)
        .or(warp::any().map(|| None))
        .unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .map(
            |method: Method, path: FullPath, query: Option<String>, headers: HeaderMap| {
                let (mut head, ()) = Request::new(()).into_parts();
                head.method = method;
                head.uri = uri(path.as_str(), query.as_deref());
                head.headers = headers;
                head
            },
        )
}

/// The URI of a path and a query that were parts of one before.
pub(crate) fn uri(path: &str, query: Option<&str>) -> Uri {
    let text = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    // What it is made of was parsed once; `/` is what is left of a CONNECT.
    PathAndQuery::try_from(text).map_or_else(|_| Uri::from_static("/"), Uri::from)
}
