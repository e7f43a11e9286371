use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::request::Parts,
    response::Response,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::super::server::Upstream;

/// Sends a request on whose body was edited, if it is an object of JSON.
pub(super) fn edited(
    upstream: Upstream,
    request: Request,
    edit: fn(&mut Value),
) -> BoxFuture<'static, Response> {
    async move {
        let (head, body) = read(request).await;
        upstream.call(with_edit(&head, &body, edit)).await
    }
    .boxed()
}

/// Reads the body of a request.
pub(super) async fn read(request: Request) -> (Parts, Bytes) {
    let (mut head, body) = request.into_parts();
    head.headers.remove("content-length");
    let bytes = body.collect().await;
    let bytes = bytes.map(http_body_util::Collected::to_bytes);
    (head, bytes.unwrap_or_default())
}

/// Returns a request whose body was edited, if it is an object of JSON.
pub(super) fn with_edit(head: &Parts, body: &Bytes, edit: fn(&mut Value)) -> Request {
    let body = match serde_json::from_slice::<Value>(body) {
        Ok(mut value) if value.is_object() => {
            edit(&mut value);
            Body::from(value.to_string())
        }
        _ => Body::from(body.clone()),
    };
    Request::from_parts(head.clone(), body)
}
