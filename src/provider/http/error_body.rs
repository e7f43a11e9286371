use serde_json::{Map, Value};

use super::{code_of_error, refused};
use crate::chat::ProviderError;

/// Returns the error that the JSON of a body reports, if it is one.
///
/// The forms are those of `OpenAI`, vLLM, Anthropic, Gemini (a list), `FastAPI`, Databricks, Cloudflare
/// and RFC 9457.
pub(super) fn error_in(body: &Value) -> Option<ProviderError> {
    let body = match body.as_array().map(Vec::as_slice) {
        Some([one]) => one,
        Some(_) => return None,
        None => body,
    };
    let object = body.as_object()?;
    let of = |error: &Value| {
        let code = code_of_error(error).or_else(|| code_of_object(object));
        refused(None, code, None)
    };
    if let Some(error) = truthy(object, "error") {
        return Some(of(error));
    }
    if let Some(errors) = truthy(object, "errors") {
        return Some(of(errors.get(0).unwrap_or(errors)));
    }
    let is_named = |name: &str| object.get(name).and_then(Value::as_str) == Some("error");
    let is_error = is_named("object")
        || is_named("type")
        || truthy(object, "detail").is_some()
        || truthy(object, "error_code").is_some()
        || statuses(object).any(|status| matches!(status.as_u64(), Some(400..600)));
    is_error.then(|| of(body))
}

fn truthy<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    match object.get(name)? {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(list) if list.is_empty() => None,
        value => Some(value),
    }
}

fn statuses(object: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let names = ["code", "error_code", "status", "status_code", "statusCode"];
    names.into_iter().filter_map(|name| object.get(name))
}

fn code_of_object(object: &Map<String, Value>) -> Option<super::failure::ErrorName> {
    statuses(object).find_map(|status| code_of_error(&serde_json::json!({"code": status})))
}
