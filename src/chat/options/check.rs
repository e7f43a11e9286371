use super::{ChatOptions, ResponseFormat, ToolChoice};
use crate::chat::{ToolCall, is_deeper};

/// The most characters of the name of a response format, by OpenAI's rule.
const MAX_FORMAT_NAME: usize = 64;

/// The error of an option that is out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`options.{name}` must be {range}")]
pub struct InvalidOption {
    name: &'static str,
    range: String,
}

impl InvalidOption {
    fn new(name: &'static str, range: impl Into<String>) -> Self {
        let range = range.into();
        Self { name, range }
    }

    /// Returns the name of the option on the wire.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the range, in words that continue "must be".
    pub fn range(&self) -> &str {
        &self.range
    }
}

impl ChatOptions {
    /// Checks that each option is within its range.
    ///
    /// # Errors
    ///
    /// [`InvalidOption`], with a text for the client, for the first that is not.
    pub fn check(&self) -> Result<(), InvalidOption> {
        let fits = |is_valid: bool, name, range: &dyn Fn() -> String| {
            is_valid
                .then_some(())
                .ok_or_else(|| InvalidOption::new(name, range()))
        };
        let temperature = self.temperature.is_none_or(|it| (0.0..=2.0).contains(&it));
        fits(temperature, "temperature", &|| "0 to 2".into())?;
        let top_p = self.top_p.is_none_or(|it| it > 0.0 && it <= 1.0);
        fits(top_p, "topP", &|| "above 0 and at most 1".into())?;
        let tokens = self.max_output_tokens != Some(0);
        fits(tokens, "maxOutputTokens", &|| "1 or more".into())?;
        let stop = self.stop.len() <= Self::MAX_STOPS
            && self
                .stop
                .iter()
                .all(|text| (1..=Self::MAX_STOP_BYTES).contains(&text.len()));
        fits(stop, "stop", &|| {
            let (count, bytes) = (Self::MAX_STOPS, Self::MAX_STOP_BYTES);
            format!("at most {count} texts of 1 to {bytes} bytes")
        })?;
        let choice = match &self.tool_choice {
            Some(ToolChoice::Tool(name)) => (1..=Self::MAX_NAME_BYTES).contains(&name.len()),
            _ => true,
        };
        fits(choice, "toolChoice", &|| {
            format!("the name of a tool, of 1 to {} bytes", Self::MAX_NAME_BYTES)
        })?;
        if let Some(ResponseFormat::JsonSchema { name, schema, .. }) = &self.response_format {
            let is_named = (1..=MAX_FORMAT_NAME).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            fits(is_named, "responseFormat.name", &|| {
                format!("1 to {MAX_FORMAT_NAME} of A-Z a-z 0-9 _ -")
            })?;
            let is_schema = (schema.is_object() || schema.is_boolean())
                && !is_deeper(schema, ToolCall::MAX_DEPTH);
            fits(is_schema, "responseFormat.schema", &|| {
                format!("a JSON Schema of at most {} levels", ToolCall::MAX_DEPTH)
            })?;
        }
        let mut fields = self.provider_fields.iter();
        let is_flat = fields.all(|(name, value)| {
            (1..=Self::MAX_NAME_BYTES).contains(&name.len())
                && !is_deeper(value, ToolCall::MAX_DEPTH)
        });
        fits(is_flat, "providerFields", &|| {
            let (bytes, depth) = (Self::MAX_NAME_BYTES, ToolCall::MAX_DEPTH);
            format!("fields with names of 1 to {bytes} bytes and values of at most {depth} levels")
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::{ReasoningEffort, ReasoningOptions};

    #[test]
    fn options_have_the_names_of_the_protocol() {
        let wire = json!({
            "temperature": 0.2, "topP": 1.0, "maxOutputTokens": 500, "stop": ["\n"], "seed": 7,
            "toolChoice": "auto", "parallelToolCalls": true, "reasoning": {"effort": "low"},
            "responseFormat": {"type": "json_schema", "name": "answer", "schema": {}},
            "providerFields": {"top_k": 40},
        });
        let options: ChatOptions = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(
            options.reasoning,
            Some(ReasoningOptions::new(ReasoningEffort::Low))
        );
        options.check().unwrap();
        assert_eq!(serde_json::to_value(&options).unwrap(), wire);
        assert_eq!(serde_json::to_value(ChatOptions::new()).unwrap(), json!({}));
    }

    #[test]
    fn a_tool_is_chosen_by_a_word_or_a_name() {
        for (wire, choice) in [
            (json!("auto"), ToolChoice::Auto),
            (json!("none"), ToolChoice::None),
            (json!("required"), ToolChoice::Required),
            (json!({"name": "map"}), ToolChoice::Tool("map".into())),
        ] {
            let read: ToolChoice = serde_json::from_value(wire.clone()).unwrap();
            assert_eq!(read, choice);
            assert_eq!(serde_json::to_value(&choice).unwrap(), wire);
        }
        let error = serde_json::from_value::<ToolChoice>(json!("some")).unwrap_err();
        assert!(error.to_string().contains("\"required\""), "{error}");
    }

    #[test]
    fn each_option_is_checked_on_both_sides_of_its_range() {
        let stop = |count: usize, bytes: usize| json!({"stop": vec!["x".repeat(bytes); count]});
        let format = |name: &str, schema: Value| json!({"responseFormat": {"type": "json_schema", "name": name, "schema": schema}});
        let deep = |levels: usize| {
            let text = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            serde_json::from_str::<Value>(&text).unwrap()
        };
        let cases = [
            (
                "temperature",
                json!({"temperature": 0}),
                json!({"temperature": -0.1}),
            ),
            (
                "temperature",
                json!({"temperature": 2}),
                json!({"temperature": 2.1}),
            ),
            ("topP", json!({"topP": 0.01}), json!({"topP": 0})),
            ("topP", json!({"topP": 1}), json!({"topP": 1.01})),
            (
                "maxOutputTokens",
                json!({"maxOutputTokens": 1}),
                json!({"maxOutputTokens": 0}),
            ),
            ("stop", stop(16, 1), stop(17, 1)),
            ("stop", stop(1, 256), stop(1, 257)),
            ("stop", stop(1, 1), stop(1, 0)),
            (
                "toolChoice",
                json!({"toolChoice": {"name": "x".repeat(128)}}),
                json!({"toolChoice": {"name": "x".repeat(129)}}),
            ),
            (
                "responseFormat.name",
                format(&"x".repeat(64), json!({})),
                format(&"x".repeat(65), json!({})),
            ),
            (
                "responseFormat.name",
                format("a-b_1", json!(true)),
                format("a b", json!({})),
            ),
            (
                "responseFormat.schema",
                format("a", json!({})),
                format("a", json!(7)),
            ),
            (
                "responseFormat.schema",
                format("a", json!({"a": deep(63)})),
                format("a", json!({"a": deep(64)})),
            ),
            (
                "providerFields",
                json!({"providerFields": {"a": deep(64)}}),
                json!({"providerFields": {"a": deep(65)}}),
            ),
        ];
        for (name, fits, exceeds) in cases {
            let read = |wire: &Value| serde_json::from_value::<ChatOptions>(wire.clone()).unwrap();
            assert_eq!(read(&fits).check(), Ok(()), "{fits}");
            assert_eq!(
                read(&exceeds).check().unwrap_err().name(),
                name,
                "{exceeds}"
            );
        }
        assert!(ChatOptions::new().temperature(f64::NAN).check().is_err());
    }
}
