use axum::{body::Bytes, extract::Request, response::Response};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use serde_json::Value;

use super::super::{
    mutant::{Fault, Mutant},
    server::Upstream,
};

/// Faults of the body of a start.
pub(in super::super) const BODIES: &[Mutant] = &[
    Mutant::new(
        "unknown fields are refused",
        Fault::Exchange(|upstream, request| {
            with_body(upstream, request, |body| {
                if body.get("nobodyKnowsThis").is_some() {
                    *body = Value::Array(Vec::new());
                }
            })
            .boxed()
        }),
        &["unknown_fields_are_dropped"],
    ),
    Mutant::new(
        "fields closed to clients are dropped",
        Fault::Exchange(|upstream, request| {
            with_body(upstream, request, |body| {
                if let Some(body) = body.as_object_mut() {
                    body.remove("model");
                    body.remove("systemPrompt");
                }
            })
            .boxed()
        }),
        &["a_field_closed_to_clients_is_422"],
    ),
    Mutant::new(
        "earlier tool results are dropped",
        Fault::Exchange(|upstream, request| {
            with_body(upstream, request, |body| without(body, "tool")).boxed()
        }),
        &["earlier_messages_reach_the_provider"],
    ),
    Mutant::new(
        "earlier messages of the assistant are dropped",
        Fault::Exchange(|upstream, request| {
            with_body(upstream, request, |body| without(body, "assistant")).boxed()
        }),
        &["earlier_messages_reach_the_provider"],
    ),
];

/// Changes the JSON of a request before the service gets it.
async fn with_body(upstream: Upstream, request: Request, change: fn(&mut Value)) -> Response {
    let (head, body) = request.into_parts();
    // Bodies that are too slow become empty; no case needs them with these faults.
    let mut bytes: Bytes = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    if let Ok(said) = serde_json::from_slice::<Value>(&bytes) {
        let mut changed = said.clone();
        change(&mut changed);
        if changed != said {
            bytes = changed.to_string().into();
        }
    }
    upstream.call(Request::from_parts(head, bytes.into())).await
}

/// Removes the messages of a role.
fn without(body: &mut Value, role: &str) {
    let messages = body.get_mut("messages").and_then(Value::as_array_mut);
    if let Some(messages) = messages.filter(|messages| messages.len() > 1) {
        messages.retain(|message| message["role"] != role);
    }
}
