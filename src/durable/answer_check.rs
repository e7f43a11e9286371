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
                if self.is_too_long {
                    let most = self.max_bytes;
                    complete.unchecked = Some(format!("the text has more than {most} bytes"));
                } else {
                    complete.mismatch = self.mismatch(complete);
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

    fn mismatch(&self, complete: &Complete) -> Option<String> {
        let whole = complete.text.as_deref().filter(|_| self.text.is_empty());
        let text = whole.unwrap_or(&self.text);
        let said = self.rule.check(text).err()?;
        Some(said.chars().take(MAX_CHARS).collect())
    }
}

impl FormatRule {
    fn check(&self, text: &str) -> Result<(), String> {
        // The error of `serde_json` may quote the text.
        let no_json = |error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            format!("the text is no JSON, from line {line}, column {column} on")
        };
        match self {
            Self::JsonObject => {
                serde_json::from_str::<IgnoredAny>(text).map_err(no_json)?;
                if !text.trim_start().starts_with('{') {
                    return Err("the text is JSON, but no object".into());
                }
                Ok(())
            }
            Self::Bounded(schema) => {
                serde_json::from_str::<IgnoredAny>(text).map_err(no_json)?;
                // A text that is nested too deep to be read, or has a reserved name, is JSON all the same.
                if has_reserved_name(text) || has_reserved_name(schema.as_bytes()) {
                    return Ok(());
                }
                let (Ok(value), Ok(schema)) = (
                    serde_json::from_str::<Value>(text),
                    serde_json::from_str::<Value>(schema),
                ) else {
                    tracing::debug!("an answer can't be read to be checked by its schema");
                    return Ok(());
                };
                match check_bounded(&schema, &value) {
                    SchemaVerdict::Fits => Ok(()),
                    SchemaVerdict::Differs(mismatch) => Err(mismatch.to_string()),
                    SchemaVerdict::Unchecked(reason) => {
                        tracing::debug!(%reason, "an answer is checked to be JSON, and not by its schema");
                        Ok(())
                    }
                }
            }
            #[cfg(feature = "tools")]
            Self::Schema(schema) => {
                if has_reserved_name(text) {
                    return Err(format!(
                        "the text has a field whose name begins with `{RESERVED}`"
                    ));
                }
                let value = serde_json::from_str(text).map_err(no_json)?;
                schema
                    .check(&value)
                    .map_err(|mismatch| mismatch.to_string())
            }
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
    fn told(mut check: AnswerCheck, events: Vec<ChatEvent>) -> Option<String> {
        let mut last = None;
        for mut event in events {
            check.take(&mut event);
            last = Some(event);
        }
        let Some(ChatEvent::Complete(complete)) = last else {
            panic!("no `complete` at the end")
        };
        complete.mismatch.clone()
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
                let mut check = AnswerCheck::of(&request(format.clone()), 100).unwrap();
                check.take(&mut ChatEvent::text(text));
                let mut end = ChatEvent::complete();
                check.take(&mut end);
                let ChatEvent::Complete(complete) = end else {
                    panic!("{end:?}")
                };
                assert_eq!(complete.unchecked.is_some(), is_told);
                assert_eq!(complete.mismatch.is_some(), !is_told && begin == "[]");
            }
        }
    }
}
