//! Errors that servers of OpenAI's protocols report inside of a stream, in the many forms that they have.

use serde_json::{Map, Value, json};
use unbroken::chat::ProviderError;

use super::json::is_truthy;
use crate::failure;

/// Returns the error that a frame reports, if it is one. `has_choice` is true if it also holds a piece of an answer:
/// then only what can't be anything else counts as an error.
pub(super) fn reported(frame: &Value, has_choice: bool) -> Option<ProviderError> {
    match frame {
        Value::Object(object) => reported_by_object(object, has_choice),
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_object)
            .find_map(|object| reported_by_object(object, has_choice)),
        // A sentence.
        Value::String(said) if !said.is_empty() => Some(of(&Value::Null)),
        _ => None,
    }
}

/// Returns true if the data of a frame only shows that the server is there.
pub(super) fn is_ping(data: &str) -> bool {
    const PINGS: [&str; 5] = ["", "ping", "heartbeat", "keepalive", "keep-alive"];
    let word = data.trim_matches('"');
    PINGS.iter().any(|ping| word.eq_ignore_ascii_case(ping))
}

fn reported_by_object(object: &Map<String, Value>, has_choice: bool) -> Option<ProviderError> {
    let truthy = |name: &str| object.get(name).filter(|value| is_truthy(value));
    if let Some(error) = truthy("error") {
        return Some(of(error));
    }
    let of_groq = object.get("x_groq").and_then(|groq| groq.get("error"));
    if let Some(error) = of_groq.filter(|error| is_truthy(error)) {
        return Some(of(error));
    }
    // MiniMax; a code of 0 is its success.
    let status = truthy("base_resp").and_then(|base| base.get("status_code"));
    if status.is_some_and(|code| code.is_i64() && is_truthy(code)) {
        return Some(of(&Value::Null));
    }
    if has_choice {
        return None;
    }
    if let Some(errors) = truthy("errors") {
        return Some(of(errors));
    }
    let word = |name: &str| object.get(name).and_then(Value::as_str);
    let names_error = |name: &str| {
        let word = word(name).unwrap_or_default();
        word.to_ascii_lowercase().contains("error")
    };
    let has_failed = |name: &str| match object.get(name).and_then(number) {
        Some(status) => status >= 400,
        None => word(name).is_some_and(|word| {
            let word = word.to_ascii_lowercase();
            matches!(&*word, "error" | "failed" | "failure")
        }),
    };
    let sentences = ["message", "msg", "error_msg", "error_message"];
    let said = (sentences.into_iter()).find_map(|name| word(name).filter(|said| !said.is_empty()));
    let reports = said.is_some()
        || truthy("detail").is_some()
        || truthy("error_code").is_some()
        || ["type", "object", "event"].into_iter().any(names_error)
        || object.get("success") == Some(&Value::Bool(false))
        || ["status", "status_code", "statusCode"]
            .into_iter()
            .any(has_failed);
    reports.then(|| {
        let codes = ["error_code", "code", "status", "status_code", "statusCode"];
        let code = codes.into_iter().find_map(truthy);
        let code = code.map(|code| number(code).map_or_else(|| code.clone(), Value::from));
        let said = said.or_else(|| word("detail"));
        of(&json!({"code": code, "type": word("type"), "message": said}))
    })
}

fn of(error: &Value) -> ProviderError {
    failure::reported(&error.to_string())
}

// Some servers write numbers as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_found_in_all_their_forms() {
        for json in [
            r#"{"error":{"message":"M"}}"#,
            r#"{"error":"M"}"#,
            r#"{"error":{}}"#,
            r#"{"error":true}"#,
            r#"[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}]"#,
            r#"{"x_groq":{"id":"r","error":"M"}}"#,
            r#"{"errors":[{"message":"M"}]}"#,
            r#"{"errors":"M"}"#,
            r#"{"detail":"M"}"#,
            r#"{"detail":[{"type":"missing","msg":"M"}]}"#,
            r#"{"type":"error","message":"M"}"#,
            r#"{"object":"error","message":"M","code":400}"#,
            r#"{"event":"error"}"#,
            r#"{"type":"server_error"}"#,
            r#"{"error_code":110,"error_msg":"M"}"#,
            r#"{"status":503}"#,
            r#"{"status":"failed"}"#,
            r#"{"statusCode":"500","message":"M"}"#,
            r#"{"success":false}"#,
            r#"{"code":1301,"msg":"M"}"#,
            r#"{"base_resp":{"status_code":1004,"status_msg":"M"}}"#,
            r#""M""#,
        ] {
            let error = reported(&serde_json::from_str(json).unwrap(), false).expect(json);
            assert!(!error.to_string().contains('M'), "{error:?}");
        }
    }

    #[test]
    fn other_values_report_nothing() {
        for json in [
            "{}",
            "[]",
            "[{}]",
            "null",
            "7",
            r#""""#,
            r#"{"error":null}"#,
            r#"{"error":false,"errors":null,"error_code":0,"status":200}"#,
            r#"{"type":"ping"}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
            r#"{"object":"chat.completion.chunk","prompt_filter_results":[]}"#,
            r#"{"message":{"role":"assistant"},"status":"in_progress"}"#,
            r#"{"base_resp":{"status_code":0,"status_msg":""},"success":true}"#,
        ] {
            let value = serde_json::from_str(json).unwrap();
            assert!(reported(&value, false).is_none(), "{json}");
        }
        let piece = r#"{"detail":"low","status":500,"message":"M","errors":["M"],"type":"error"}"#;
        assert!(reported(&serde_json::from_str(piece).unwrap(), true).is_none());
        for piece in [r#"{"error":"M"}"#, r#"{"x_groq":{"error":{"code":400}}}"#] {
            assert!(reported(&serde_json::from_str(piece).unwrap(), true).is_some());
        }
    }

    #[test]
    fn the_code_of_an_error_is_kept() {
        for (json, recoverable) in [
            (r#"{"status":400}"#, false),
            (r#"{"status":"503"}"#, true),
            (r#"{"type":"error","code":"insufficient_quota"}"#, false),
            (r#"{"errors":[{"code":"invalid_api_key"}]}"#, false),
            (r#"[{"error":{"code":401}}]"#, false),
            (r#"{"error_code":402}"#, false),
        ] {
            let error = reported(&serde_json::from_str(json).unwrap(), false).unwrap();
            assert_eq!(error.is_recoverable(), recoverable, "{json}: {error}");
        }
    }
}
