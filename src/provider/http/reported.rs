//! Errors that servers report inside of a stream, in the many forms that they have.

use serde_json::value::RawValue;

use super::{
    error_name::{code_of_error, code_of_report},
    json::{Kind, count, each_element, is_truthy, kind, members, string, whole_number},
    refused,
};
use crate::chat::ProviderError;

/// Returns the error that a JSON value reports, if it is one. `piece` is true if it also holds a piece of
/// an answer: then only what can't be anything else counts as an error.
pub(crate) fn reported(json: &str, piece: bool) -> Option<ProviderError> {
    if json.trim_start().starts_with('{') {
        return reported_by_object(json, piece);
    }
    let value: &RawValue = serde_json::from_str(json).ok()?;
    match kind(value) {
        Kind::List => {
            let mut found = None;
            let each = each_element(value, |element| {
                // No deeper: nesting has no limit here.
                if kind(element) == Kind::Object {
                    found = found
                        .take()
                        .or_else(|| reported_by_object(element.get(), piece));
                }
                Ok(())
            });
            each.ok().and(found)
        }
        // A sentence.
        Kind::String if is_truthy(value) => Some(error_of(value)),
        _ => None,
    }
}

/// Creates the error of a value that is known to be one, such as the data of an event `error`.
#[cfg(any(feature = "openai", feature = "openai-responses-upstream"))]
pub(crate) fn reported_error(json: &str) -> ProviderError {
    reported(json, false).unwrap_or_else(|| refused(None, None, None))
}

/// Returns true if the data of a message only shows that the server is there: no data at all, or a word
/// that proxies send so.
#[cfg(any(feature = "openai", feature = "openai-responses-upstream"))]
pub(crate) fn is_ping(data: &str) -> bool {
    const PINGS: [&str; 5] = ["", "ping", "heartbeat", "keepalive", "keep-alive"];
    let word = data.trim().trim_matches('"');
    PINGS.iter().any(|ping| word.eq_ignore_ascii_case(ping))
}

/// Creates the error of a member that reports one.
pub(crate) fn error_of(error: &RawValue) -> ProviderError {
    refused(None, code_of_error(error), None)
}

fn reported_by_object(object: &str, piece: bool) -> Option<ProviderError> {
    let [error, errors, detail, base, groq] =
        members(object, ["error", "errors", "detail", "base_resp", "x_groq"]).ok()?;
    let of_object = || {
        let code = serde_json::from_str(object).ok().and_then(code_of_report);
        refused(None, code, None)
    };
    if error.is_some_and(is_truthy) {
        return Some(of_object());
    }
    // Groq's reason why a stream ends early.
    let groq = groq.and_then(|groq| members(groq.get(), ["error"]).ok()?[0]);
    if let Some(error) = groq.filter(|error| is_truthy(error)) {
        return Some(error_of(error));
    }
    // MiniMax; a code of 0 is its success.
    let status = base.and_then(|base| members(base.get(), ["status_code"]).ok()?[0]);
    if status.and_then(whole_number).is_some_and(|code| code != 0) {
        return Some(refused(None, None, None));
    }
    if piece {
        return None;
    }
    let [class, object_kind, event, success, error_code, error_type] = members(
        object,
        [
            "type",
            "object",
            "event",
            "success",
            "error_code",
            "error_type",
        ],
    )
    .ok()?;
    let named = |value: Option<&RawValue>| {
        let word = value.and_then(string).unwrap_or_default();
        word.to_ascii_lowercase().contains("error")
    };
    let statuses = members(object, ["status", "status_code", "statusCode"]).ok()?;
    let failed = |status: &RawValue| match count(status) {
        Some(number) => number >= 400,
        None => string(status).is_some_and(|word| {
            let word = word.to_ascii_lowercase();
            matches!(&*word, "error" | "failed" | "failure")
        }),
    };
    let told = members(object, ["message", "msg", "error_msg", "error_message"]);
    let told = told.ok()?.into_iter().flatten();
    let told = told.filter_map(string).any(|text| !text.is_empty());
    let reports = [errors, detail, error_code, error_type]
        .into_iter()
        .flatten()
        .any(is_truthy)
        || told
        || [class, object_kind, event].into_iter().any(named)
        || success.is_some_and(|success| success.get() == "false")
        || statuses.into_iter().flatten().any(failed);
    reports.then(of_object)
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
            r#"{"title":"M","status":429}"#,
            r#"{"success":false}"#,
            r#"{"message":"Internal Server Error"}"#,
            r#"{"code":1301,"msg":"M"}"#,
            r#"{"base_resp":{"status_code":1004,"status_msg":"M"}}"#,
            r#"{"x_groq":{"id":"1","error":"M"}}"#,
            r#"{"error":"M","error_type":"generation"}"#,
            r#"{"error_type":"generation"}"#,
            r#""M""#,
        ] {
            let error = reported(json, false).expect(json);
            assert!(!format!("{error} {error:?}").contains('M'), "{error:?}");
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
            r#"{"x_groq":{"id":"1","usage":{"queue_time":1},"error":null}}"#,
            r#"{"type":"ping"}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":1}}"#,
            r#"{"object":"chat.completion.chunk","prompt_filter_results":[]}"#,
            r#"{"message":{"role":"assistant"},"status":"in_progress"}"#,
            r#"{"base_resp":{"status_code":0,"status_msg":""},"success":true}"#,
        ] {
            assert!(reported(json, false).is_none(), "{json}");
        }
    }

    #[test]
    fn a_piece_of_an_answer_may_have_members_that_are_errors_elsewhere() {
        for json in [
            r#"{"detail":"low","status":500,"message":"M","errors":["M"],"type":"error"}"#,
            r#"{"error_code":1,"code":400}"#,
        ] {
            assert!(reported(json, true).is_none(), "{json}");
        }
        assert!(reported(r#"{"error":"M"}"#, true).is_some());
        assert!(reported(r#"{"base_resp":{"status_code":1}}"#, true).is_some());
        assert!(reported(r#"{"choices":[],"x_groq":{"error":"M"}}"#, true).is_some());
    }

    #[test]
    fn the_code_of_an_error_is_kept() {
        for (json, recoverable) in [
            (r#"{"status":400}"#, false),
            (r#"{"status":"503"}"#, true),
            (r#"{"type":"error","code":"insufficient_quota"}"#, false),
            (r#"{"detail":"model \"m\" not found"}"#, false),
            (r#"[{"error":{"code":401}}]"#, false),
            (r#"{"error_code":402}"#, false),
            (r#"{"error":"M","error_type":"validation"}"#, false),
            (r#"{"error":"M","error_type":"overloaded"}"#, true),
            (
                r#"{"object":"error","message":"M","type":"BadRequestError"}"#,
                false,
            ),
            (r#"{"x_groq":{"error":"insufficient_quota"}}"#, false),
        ] {
            let error = reported(json, false).unwrap();
            assert_eq!(error.is_recoverable(), recoverable, "{json}: {error}");
        }
    }
}
