//! The check of an answer's text against the format that its request asks for.
//!
//! The schema of the application is compiled, with the feature `tools`. Those of clients are not: compiling
//! one, and checking a text by it, may take exponential time. An answer is checked by one in a bounded number
//! of steps; where these don't suffice, or the schema has further keywords, only that it is JSON is checked.

#[cfg(feature = "tools")]
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::chat::{
    ChatEvent, ChatOptions, ChatRequest, Complete, FinishReason, ResponseFormat, SchemaVerdict,
    check_bounded, has_reserved_name,
};
#[cfg(feature = "tools")]
use crate::chat::{RESERVED, Schema};

/// The most characters of a mismatch.
const MAX_CHARS: usize = 1_000;

/// The format that the application asks for by default, ready to check answers.
#[derive(Debug, Clone, Default)]
pub(super) struct DefaultFormat {
    #[cfg(feature = "tools")]
    schema: Option<(ResponseFormat, Arc<Schema>)>,
}

/// The check of one answer. It keeps the text of the last turn, up to a limit.
#[derive(Debug)]
pub(super) struct AnswerCheck {
    rule: FormatRule,
    text: String,
    is_too_long: bool,
    max_bytes: usize,
}

/// The result of a check.
enum AnswerVerdict {
    Fits,
    /// It doesn't fit at these places.
    Differs(String),
    /// It is JSON as far as is known, and isn't checked for this reason.
    Unchecked(String),
}

#[derive(Debug)]
enum FormatRule {
    JsonObject,
    /// A schema that isn't compiled, as its JSON, which is smaller.
    Bounded(Box<str>),
    #[cfg(feature = "tools")]
    Schema(Arc<Schema>),
}

impl DefaultFormat {
    /// Compiles the schema of the application's options. One that can't be compiled isn't checked by.
    pub(super) fn new(options: &ChatOptions) -> Self {
        #[cfg(feature = "tools")]
        if let Some(format @ ResponseFormat::JsonSchema { schema, .. }) = &options.response_format {
            return match Schema::new(schema) {
                Ok(schema) => Self {
                    schema: Some((format.clone(), Arc::new(schema))),
                },
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "answers are not checked by the schema of the response format"
                    );
                    Self::default()
                }
            };
        }
        let _ = options;
        Self::default()
    }

    /// Returns the compiled schema, if a request asks for it.
    #[cfg(feature = "tools")]
    pub(super) fn schema(&self, request: &ChatRequest) -> Option<Arc<Schema>> {
        let (format, schema) = self.schema.as_ref()?;
        (request.options.response_format.as_ref() == Some(format)).then(|| Arc::clone(schema))
    }
}

impl AnswerCheck {
    /// Creates the check of an answer to this request, if it asks for a format.
    pub(super) fn of(request: &ChatRequest, max_bytes: usize) -> Option<Self> {
        let rule = match request.options.response_format.as_ref()? {
            ResponseFormat::JsonObject => FormatRule::JsonObject,
            ResponseFormat::JsonSchema { schema, .. } => {
                FormatRule::Bounded(schema.to_string().into_boxed_str())
            }
            ResponseFormat::Text => return None,
        };
        let mut this = Self {
            rule,
            text: String::new(),
            is_too_long: false,
            max_bytes,
        };
        if let Some(so_far) = &request.so_far {
            this.push(so_far.last_turn().text());
        }
        Some(this)
    }

    /// Sets the schema to check by.
    #[cfg(feature = "tools")]
    pub(super) fn schema(mut self, schema: Arc<Schema>) -> Self {
        self.rule = FormatRule::Schema(schema);
        self
    }

    pub(super) fn max_bytes(&mut self, most: usize) {
        self.max_bytes = most;
    }

    /// Takes an event, and adds the mismatch to the last one, or why there is none to tell.
    pub(super) fn take(&mut self, event: &mut ChatEvent) {
        match event {
            ChatEvent::Text(text) => self.push(&text.content),
            // What stands before calls or a restart is no final text.
            ChatEvent::ToolCalls(_)
            | ChatEvent::ToolResult(_)
            | ChatEvent::ToolError(_)
            | ChatEvent::Restarted(_) => {
                self.text.clear();
                self.is_too_long = false;
            }
            ChatEvent::Complete(complete) if complete.finish_reason != FinishReason::ToolCalls => {
                let short = |said: String| said.chars().take(MAX_CHARS).collect();
                match self.verdict(complete) {
                    AnswerVerdict::Fits => {}
                    AnswerVerdict::Differs(places) => complete.mismatch = Some(short(places)),
                    AnswerVerdict::Unchecked(reason) => complete.unchecked = Some(short(reason)),
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, text: &str) {
        self.is_too_long |= self.text.len() + text.len() > self.max_bytes;
        if !self.is_too_long {
            self.text.push_str(text);
        }
    }

    fn verdict(&self, complete: &Complete) -> AnswerVerdict {
        if self.is_too_long {
            let most = self.max_bytes;
            return AnswerVerdict::Unchecked(format!("the text has more than {most} bytes"));
        }
        let whole = complete.text.as_deref().filter(|_| self.text.is_empty());
        self.rule.check(whole.unwrap_or(&self.text))
    }
}

impl FormatRule {
    fn check(&self, text: &str) -> AnswerVerdict {
        use AnswerVerdict::{Differs, Fits, Unchecked};

        if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
            // The error may quote the text.
            let (line, column) = (error.line(), error.column());
            return Differs(format!(
                "the text is no JSON, from line {line}, column {column} on"
            ));
        }
        match self {
            Self::JsonObject if text.trim_start().starts_with('{') => Fits,
            Self::JsonObject => Differs("the text is JSON, but no object".into()),
            Self::Bounded(schema) => {
                let reserved = has_reserved_name(text) || has_reserved_name(schema.as_bytes());
                let read = |json: &str| serde_json::from_str::<Value>(json).ok();
                let (false, Some(value), Some(schema)) = (reserved, read(text), read(schema))
                else {
                    return Unchecked("the text can't be read to be checked by its schema".into());
                };
                match check_bounded(&schema, &value) {
                    SchemaVerdict::Fits => Fits,
                    SchemaVerdict::Differs(mismatch) => Differs(mismatch.to_string()),
                    SchemaVerdict::Unchecked(reason) => Unchecked(reason.to_string()),
                }
            }
            #[cfg(feature = "tools")]
            Self::Schema(_) if has_reserved_name(text) => Differs(format!(
                "the text has a field whose name begins with `{RESERVED}`"
            )),
            #[cfg(feature = "tools")]
            Self::Schema(schema) => match serde_json::from_str(text) {
                Ok(value) => match schema.check(&value) {
                    Ok(()) => Fits,
                    Err(mismatch) => Differs(mismatch.to_string()),
                },
                // Nested too deep.
                Err(_) => Unchecked("the text can't be read to be checked by its schema".into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::chat::{ToolCall, Transcript};

    fn request(format: ResponseFormat) -> ChatRequest {
        let mut request = ChatRequest::from_user("Hi");
        request.options = ChatOptions::new().response_format(format);
        request
    }

    /// Returns the mismatch that the last of these events tells.
    fn told(check: AnswerCheck, events: Vec<ChatEvent>) -> Option<String> {
        end(check, events).mismatch
    }

    fn end(mut check: AnswerCheck, events: Vec<ChatEvent>) -> Complete {
        let mut last = None;
        for mut event in events {
            check.take(&mut event);
            last = Some(event);
        }
        let Some(ChatEvent::Complete(complete)) = last else {
            panic!("no `complete` at the end")
        };
        *complete
    }

    fn said(text: &str) -> Vec<ChatEvent> {
        let (one, two) = text.split_at(text.len() / 2);
        vec![
            ChatEvent::text(one),
            ChatEvent::text(two),
            ChatEvent::complete(),
        ]
    }

    fn schema() -> Value {
        json!({"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]})
    }

    #[test]
    fn the_final_text_is_json_or_the_mismatch_is_told() {
        let clients = request(ResponseFormat::json_schema("answer", schema()));
        let unchecked = json!({"type": "object", "pattern": "a"});
        let unchecked = request(ResponseFormat::json_schema("answer", unchecked));
        let endless = request(ResponseFormat::json_schema("answer", json!({"$ref": "#"})));
        let object = request(ResponseFormat::JsonObject);
        for (request, text, word) in [
            (&clients, r#"{"days": 3}"#, None),
            (&clients, r#"{"days": "s"}"#, Some("/days")),
            (&clients, "[1]", Some("another type")),
            (&unchecked, "[1]", None),
            (&unchecked, "[1", Some("no JSON")),
            (&endless, "[1]", None),
            (&clients, r#"{"days": 3"#, Some("no JSON")),
            (&clients, "```json\n{}\n```", Some("line 1, column 1")),
            (&clients, "", Some("no JSON")),
            (&object, " {}", None),
            (&object, "[1]", Some("no object")),
            (&object, "secret", Some("no JSON")),
        ] {
            let check = AnswerCheck::of(request, 100).unwrap();
            let mismatch = told(check, said(text));
            assert_eq!(mismatch.is_some(), word.is_some(), "{text}: {mismatch:?}");
            let mismatch = mismatch.unwrap_or_default();
            assert!(mismatch.contains(word.unwrap_or_default()), "{mismatch}");
            assert!(!mismatch.contains("secret"), "{mismatch}");
        }
        assert!(AnswerCheck::of(&request(ResponseFormat::Text), 100).is_none());
        assert!(AnswerCheck::of(&ChatRequest::from_user("Hi"), 100).is_none());
    }

    #[cfg(feature = "tools")]
    #[test]
    fn the_schema_of_the_application_is_checked_by_and_no_other() {
        let ours = ResponseFormat::json_schema("answer", schema());
        let theirs = ResponseFormat::json_schema("answer", json!({"type": "string"}));
        let default = DefaultFormat::new(&ChatOptions::new().response_format(ours.clone()));
        assert!(default.schema(&request(theirs)).is_none());
        let asked = request(ours);
        for (text, place) in [
            (r#"{"days": 3}"#, None),
            (r#"{"days": "3"}"#, Some("/days")),
            ("{}", Some("as a whole")),
            ("days", Some("no JSON")),
        ] {
            let check = AnswerCheck::of(&asked, 100).unwrap();
            let mismatch = told(check.schema(default.schema(&asked).unwrap()), said(text));
            assert_eq!(mismatch.is_some(), place.is_some(), "{text}: {mismatch:?}");
            let mismatch = mismatch.unwrap_or_default();
            assert!(mismatch.contains(place.unwrap_or_default()), "{mismatch}");
        }
        let broken = ResponseFormat::json_schema("answer", json!({"type": "no such type"}));
        let default = DefaultFormat::new(&ChatOptions::new().response_format(broken.clone()));
        assert!(default.schema(&request(broken)).is_none());
    }

    #[test]
    fn only_the_last_turn_is_the_final_text() {
        let check = || AnswerCheck::of(&request(ResponseFormat::JsonObject), 100).unwrap();
        let calls = || ChatEvent::tool_calls([ToolCall::new("1", "now", json!({}))]);
        let events = vec![
            ChatEvent::text("Let me see."),
            calls(),
            ChatEvent::tool_result("1", "now", "noon"),
            ChatEvent::text("{}"),
            ChatEvent::complete(),
        ];
        assert_eq!(told(check(), events), None);
        let restarted = vec![
            ChatEvent::text("{"),
            ChatEvent::restarted("again"),
            ChatEvent::text("{}"),
            ChatEvent::complete(),
        ];
        assert_eq!(told(check(), restarted), None);
        let handed = Complete::new().finish_reason(FinishReason::ToolCalls);
        assert_eq!(told(check(), vec![calls(), handed.into()]), None);
        let whole = Complete::new().text("{}");
        assert_eq!(told(check(), vec![whole.into()]), None);
    }

    #[test]
    fn the_text_of_an_answer_that_is_continued_counts() {
        let mut request = request(ResponseFormat::JsonObject);
        let so_far: Transcript = [ChatEvent::text("{\"a\":")].iter().collect();
        request.so_far = Some(Arc::new(so_far));
        let check = AnswerCheck::of(&request, 100).unwrap();
        assert_eq!(told(check, said("1}")), None);
    }

    #[test]
    fn a_text_that_is_too_long_is_told_as_unchecked() {
        let format = ResponseFormat::JsonObject;
        for (bytes, is_told) in [(100, false), (101, true)] {
            // Whether it would fit or not.
            for begin in ["{}", "[]"] {
                let text = format!("{begin}{}", " ".repeat(bytes - 2));
                let check = AnswerCheck::of(&request(format.clone()), 100).unwrap();
                let complete = end(check, said(&text));
                assert_eq!(complete.unchecked.is_some(), is_told);
                assert_eq!(complete.mismatch.is_some(), !is_told && begin == "[]");
            }
        }
    }

    #[test]
    fn a_text_that_is_not_checked_by_its_schema_is_told_as_such() {
        let deep = format!("{}{}", "[".repeat(400), "]".repeat(400));
        let keyword = json!({"type": "object", "pattern": "secret"});
        for (schema, text, reason) in [
            (schema(), "{\"days\": 3}", None),
            (schema(), "{\"days\": \"s\"}", None),
            (keyword.clone(), "[1]", Some("\"pattern\"")),
            (keyword, "[1", None),
            (json!({"$ref": "#"}), "[1]", Some("steps")),
            (schema(), &*deep, Some("can't be read")),
            (
                schema(),
                "{\"$serde_json::private::RawValue\":\"1\"}",
                Some("can't be read"),
            ),
        ] {
            let asked = request(ResponseFormat::json_schema("answer", schema));
            let check = AnswerCheck::of(&asked, 1_000).unwrap();
            let unchecked = end(check, said(text)).unchecked;
            assert_eq!(
                unchecked.is_some(),
                reason.is_some(),
                "{text:.40}: {unchecked:?}"
            );
            let unchecked = unchecked.unwrap_or_default();
            assert!(
                unchecked.contains(reason.unwrap_or_default()),
                "{unchecked}"
            );
            assert!(!unchecked.contains("secret"), "{unchecked}");
        }
    }
}
