//! The short names by which servers tell their errors apart.

use reqwest::StatusCode;
use serde_json::value::RawValue;

use super::{
    failure::is_known,
    json::{Kind, count, each_element, kind, members, string},
};

/// The server's short names of an error. Its texts are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ErrorName {
    word: Option<String>,
    /// The status that the server names.
    number: Option<u16>,
    /// The status that a word stands for.
    class: Option<u16>,
}

impl ErrorName {
    fn of_word(word: &str) -> Self {
        Self {
            word: Some(word.to_owned()),
            ..Self::default()
        }
    }

    pub(super) fn word(&self) -> Option<&str> {
        self.word.as_deref()
    }

    pub(super) fn status(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.number.or(self.class)?).ok()
    }

    /// Returns true if it tells what kind of error it is.
    fn tells(&self) -> bool {
        self.status().is_some() || self.word().is_some_and(is_known)
    }

    fn add(&mut self, value: &RawValue) {
        let number = |value| count(value).and_then(|number| u16::try_from(number).ok());
        if let Some(status) = number(value) {
            let is_status = (400..600).contains(&status);
            self.number = self.number.or(is_status.then_some(status));
            return;
        }
        let Some(word) = string(value).filter(|word| word != "error") else {
            return;
        };
        if word.len() > MAX_WORD {
            return;
        }
        self.class = self.class.or_else(|| status_of(&word));
        // Only what looks like a code is one: a sentence may quote the key.
        if is_plain(&word) && !self.word().is_some_and(is_known) {
            self.word = Some(word);
        }
    }

    fn add_members(&mut self, object: &str) {
        let names = [
            "code",
            "error_code",
            "type",
            "error_type",
            "status",
            "status_code",
            "statusCode",
        ];
        let found = members(object, names).unwrap_or_default();
        for value in found.into_iter().flatten() {
            self.add(value);
        }
    }

    fn if_any(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

const MAX_WORD: usize = 40;

fn is_plain(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=MAX_WORD).contains(&word.len()) && word.bytes().all(plain)
}

/// Returns the status that a word stands for, such as `rate_limit_error`, `BadRequestError` or
/// `RESOURCE_EXHAUSTED`.
fn status_of(word: &str) -> Option<u16> {
    let letters: String = word.chars().filter(char::is_ascii_alphabetic).collect();
    let letters = letters.to_ascii_lowercase();
    let class = letters
        .strip_suffix("error")
        .or_else(|| letters.strip_suffix("exception"))
        .unwrap_or(&letters);
    Some(match class {
        // OpenAI and Anthropic; vLLM; Google and Bedrock; Text Generation Inference.
        "invalidrequest"
        | "badrequest"
        | "invalidargument"
        | "failedprecondition"
        | "validation"
        | "unprocessableentity"
        | "template"
        | "missingtemplatevariable" => 400,
        "authentication" | "unauthorized" | "unauthenticated" => 401,
        "billing" | "paymentrequired" | "insufficientbalance" => 402,
        "permission" | "permissiondenied" | "accessdenied" | "forbidden" => 403,
        "notfound" | "resourcenotfound" => 404,
        "requesttoolarge" => 413,
        "ratelimit" | "ratelimitexceeded" | "toomanyrequests" | "throttling"
        | "resourceexhausted" => 429,
        "server"
        | "internalserver"
        | "internal"
        | "api"
        | "generation"
        | "incompletegeneration"
        | "modelerror"
        | "modelstreamerror" => 500,
        "overloaded" | "serviceunavailable" | "unavailable" | "modelnotready" => 503,
        "timeout" | "deadlineexceeded" | "gatewaytimeout" | "modeltimeout" => 504,
        _ => return None,
    })
}

/// Returns the code in the body of an error response.
pub(super) fn code_of_body(body: &[u8]) -> Option<ErrorName> {
    let body = String::from_utf8_lossy(body);
    let body = body.trim_start_matches('\u{feff}');
    code_of_report(serde_json::from_str(body).ok()?)
}

/// Returns the code in what reports an error: an object that has it or is it, or, from Gemini, a list of one.
pub(super) fn code_of_report(report: &RawValue) -> Option<ErrorName> {
    let report = first_of(report).unwrap_or(report);
    if kind(report) != Kind::Object {
        return code_of_error(report);
    }
    let errors = members(report.get(), ["error", "errors", "detail"]).ok()?;
    let mut code = errors
        .into_iter()
        .flatten()
        .find_map(code_of_error)
        .unwrap_or_default();
    // Some name it beside the error.
    if !code.tells() {
        code.add_members(report.get());
    }
    code.if_any()
}

/// Returns the code in an error, which is an object, or a sentence from some servers.
pub(crate) fn code_of_error(error: &RawValue) -> Option<ErrorName> {
    let error = first_of(error).unwrap_or(error);
    if let Some(sentence) = string(error) {
        return code_of_sentence(&sentence);
    }
    let mut code = ErrorName::default();
    code.add_members(error.get());
    code.if_any()
}

fn first_of(list: &RawValue) -> Option<&RawValue> {
    let mut first = None;
    let _ = each_element(list, |element| {
        first = first.or(Some(element));
        Ok(())
    });
    first
}

// Ollama sends sentences only, and Groq words.
fn code_of_sentence(sentence: &str) -> Option<ErrorName> {
    let word = if sentence.contains("does not support tools") {
        "no_tools"
    } else if sentence.contains("does not support thinking") {
        "no_thinking"
    } else if sentence.starts_with("model ") && sentence.contains("not found") {
        "model_not_found"
    } else {
        let mut code = ErrorName::of_word(sentence);
        code.class = status_of(sentence);
        return code.tells().then_some(code).filter(|_| is_plain(sentence));
    };
    Some(ErrorName::of_word(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::http::refused;

    #[test]
    fn the_code_is_found_wherever_it_stands_in_a_body() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        for (body, said, recoverable) in [
            (
                r#"{"error":"M","error_type":"validation"}"#,
                "refused the request",
                false,
            ),
            (
                r#"{"error":"M","error_type":"overloaded"}"#,
                "has failed",
                true,
            ),
            (
                r#"{"error":"M","error_type":"generation"}"#,
                "has failed",
                true,
            ),
            (r#"{"error":"M","status":429}"#, "asked too much", true),
            (
                r#"{"error":{"message":"M","status":"401"}}"#,
                "credentials",
                false,
            ),
            (
                r#"[{"error":{"code":404}}]"#,
                "doesn't have this model",
                false,
            ),
            (
                r#"{"detail":"Not Found","status":404}"#,
                "doesn't have this model",
                false,
            ),
            (
                r#"{"error":{"type":"error","code":1301},"code":"403"}"#,
                "credentials",
                false,
            ),
            (
                r#"{"$serde_json::private::RawValue":"x","error":{"code":402}}"#,
                "quota",
                false,
            ),
            (
                "\u{feff}{\"code\":404,\"code\":413,\"x\":\"\\ud83d\"}",
                "too long",
                false,
            ),
            (
                &format!(r#"{{"x":{deep},"error":{{"y":{deep},"code":429}}}}"#),
                "asked too much",
                true,
            ),
            (r#"{"error":{"code":200}}"#, "reported an error", true),
            ("no JSON", "reported an error", true),
        ] {
            let error = refused(None, code_of_body(body.as_bytes()), None);
            assert!(error.message().contains(said), "{body:.90}: {error}");
            assert_eq!(error.is_recoverable(), recoverable, "{body:.90}");
        }
        let error = refused(None, code_of_body(b"{\"x\":\"\xff\",\"code\":404}"), None);
        assert!(!error.is_recoverable());
    }
}
