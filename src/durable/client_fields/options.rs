use std::{borrow::Cow, collections::BTreeSet, ops::RangeInclusive};

use super::refusal::{Refusals, not_open, too_large};
use crate::{
    chat::{
        ChatOptions, ReasoningEffort, ReasoningOptions, ResponseFormat, ToolChoice, json_bytes,
    },
    dialect::Refusal,
};

/// The options that clients may set, each with its range.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each opens an option of its own"
)]
pub(super) struct OpenOptions {
    pub(super) temperature: Option<RangeInclusive<f64>>,
    pub(super) top_p: Option<RangeInclusive<f64>>,
    pub(super) max_output_tokens: Option<u32>,
    pub(super) stop: bool,
    pub(super) seed: bool,
    pub(super) tool_choice: bool,
    pub(super) parallel_tool_calls: bool,
    pub(super) reasoning: Option<ReasoningEffort>,
    pub(super) response_format: Option<usize>,
    pub(super) provider_fields: BTreeSet<Cow<'static, str>>,
}

impl OpenOptions {
    /// Refuses options that are closed, or out of their ranges.
    pub(super) fn check(
        &self,
        options: &mut ChatOptions,
        refusals: &Refusals<'_>,
    ) -> Result<(), Refusal> {
        if options.is_empty() {
            return Ok(());
        }
        self.drop_closed_defaults(options);
        self.check_closed(options, refusals)?;
        if let Err(error) = options.check() {
            let name = refusals.name(field(error.name()));
            return Err(not_open(format!("`{name}` must be {}", error.range())));
        }
        self.check_ranges(options, refusals)
    }

    /// Drops closed options whose value is what every protocol has without them: they ask for nothing.
    fn drop_closed_defaults(&self, options: &mut ChatOptions) {
        if !self.tool_choice && options.tool_choice == Some(ToolChoice::Auto) {
            options.tool_choice = None;
        }
        if !self.parallel_tool_calls && options.parallel_tool_calls == Some(true) {
            options.parallel_tool_calls = None;
        }
        if self.response_format.is_none() && options.response_format == Some(ResponseFormat::Text) {
            options.response_format = None;
        }
        // Without an effort it asks for nothing, open or not.
        if options.reasoning == Some(ReasoningOptions::default()) {
            options.reasoning = None;
        }
    }

    fn check_closed(&self, options: &ChatOptions, refusals: &Refusals<'_>) -> Result<(), Refusal> {
        for (is_set, is_open, name, switch) in [
            (
                options.temperature.is_some(),
                self.temperature.is_some(),
                "temperature",
                "temperature",
            ),
            (
                options.top_p.is_some(),
                self.top_p.is_some(),
                "topP",
                "top_p",
            ),
            (
                options.max_output_tokens.is_some(),
                self.max_output_tokens.is_some(),
                "maxOutputTokens",
                "max_output_tokens",
            ),
            (!options.stop.is_empty(), self.stop, "stop", "stop"),
            (options.seed.is_some(), self.seed, "seed", "seed"),
            (
                options.tool_choice.is_some(),
                self.tool_choice,
                "toolChoice",
                "tool_choice",
            ),
            (
                options.parallel_tool_calls.is_some(),
                self.parallel_tool_calls,
                "parallelToolCalls",
                "parallel_tool_calls",
            ),
            (
                options.reasoning.is_some(),
                self.reasoning.is_some(),
                "reasoning",
                "reasoning",
            ),
            (
                options.response_format.is_some(),
                self.response_format.is_some(),
                "responseFormat",
                "response_format",
            ),
        ] {
            if is_set && !is_open {
                return Err(refusals.closed(field(name), switch));
            }
        }
        let mut names = options.provider_fields.keys();
        match names.find(|name| !self.provider_fields.contains(name.as_str())) {
            Some(name) => {
                if let Some(known) = sampling_field(name) {
                    let told = refusals.name(known);
                    return Err(not_open(format!(
                        "the field `{told}` is not open to clients; leave it out (the application opens it \
                         with `ClientFields::provider_field(\"{name}\")`)"
                    )));
                }
                let fields = refusals.name(field("providerFields"));
                let name: String = name.chars().take(ChatOptions::MAX_NAME_BYTES).collect();
                Err(not_open(format!(
                    "the field `{name}` of `{fields}` is not open to clients; leave it out (the \
                     application opens it with `ClientFields::provider_field`)"
                )))
            }
            None => Ok(()),
        }
    }

    fn check_ranges(&self, options: &ChatOptions, refusals: &Refusals<'_>) -> Result<(), Refusal> {
        let within =
            |value: Option<f64>, range: &Option<RangeInclusive<f64>>, name| match (value, range) {
                (Some(value), Some(range)) if !range.contains(&value) => {
                    let range = format!("{} to {}", range.start(), range.end());
                    Err(out_of_range(refusals.name(field(name)), &range))
                }
                _ => Ok(()),
            };
        within(options.temperature, &self.temperature, "temperature")?;
        within(options.top_p, &self.top_p, "topP")?;
        if let (Some(tokens), Some(most)) = (options.max_output_tokens, self.max_output_tokens)
            && tokens > most
        {
            let name = refusals.name(field("maxOutputTokens"));
            return Err(out_of_range(name, &format!("1 to {most}")));
        }
        let effort = options.reasoning.and_then(|reasoning| reasoning.effort);
        if let (Some(effort), Some(most)) = (effort, self.reasoning)
            && effort > most
        {
            let name = refusals.name(field("reasoning"));
            return Err(out_of_range(name, &format!("at most `{}`", most.as_str())));
        }
        if let (Some(format), Some(most)) = (&options.response_format, self.response_format) {
            let bytes = format_bytes(format);
            if bytes > most {
                let name = refusals.name(field("responseFormat"));
                return Err(too_large(&format!("the fields of `{name}`"), bytes, most));
            }
        }
        Ok(())
    }
}

/// Returns the path of an option in the native protocol.
fn field(option: &str) -> &'static str {
    match option {
        "temperature" => "options.temperature",
        "topP" => "options.topP",
        "maxOutputTokens" => "options.maxOutputTokens",
        "stop" => "options.stop",
        "seed" => "options.seed",
        "toolChoice" => "options.toolChoice",
        "parallelToolCalls" => "options.parallelToolCalls",
        "reasoning" => "options.reasoning",
        "responseFormat" => "options.responseFormat",
        "responseFormat.name" => "options.responseFormat.name",
        "responseFormat.schema" => "options.responseFormat.schema",
        "providerFields" => "options.providerFields",
        _ => "options",
    }
}

/// Returns the field of the native protocol for a provider field that clients have a name of their own for.
fn sampling_field(name: &str) -> Option<&'static str> {
    Some(match name {
        "top_k" => "options.providerFields.top_k",
        "presence_penalty" => "options.providerFields.presence_penalty",
        "frequency_penalty" => "options.providerFields.frequency_penalty",
        _ => return None,
    })
}

fn out_of_range(name: &str, range: &str) -> Refusal {
    not_open(format!(
        "`{name}` must be {range} from clients of this application; change it or leave it out"
    ))
}

fn format_bytes(format: &ResponseFormat) -> usize {
    match format {
        ResponseFormat::JsonSchema {
            name,
            description,
            schema,
            ..
        } => name.len() + description.as_ref().map_or(0, String::len) + json_bytes(schema),
        ResponseFormat::Text | ResponseFormat::JsonObject => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{ClientFields, tests::fits};
    use super::*;
    use crate::dialect::Problem;

    fn with(options: &Value) -> Value {
        json!({"messages": [], "options": options})
    }

    fn all_but(left_out: &str) -> ClientFields {
        let mut fields = ClientFields::nothing();
        let mut open = |name: &str, switch: fn(ClientFields) -> ClientFields| {
            if name != left_out {
                fields = switch(fields.clone());
            }
        };
        open("temperature", |it| it.temperature(0.0..=1.0));
        open("top_p", |it| it.top_p(0.5..=1.0));
        open("max_output_tokens", |it| it.max_output_tokens(500));
        open("stop", ClientFields::stop);
        open("seed", ClientFields::seed);
        open("tool_choice", ClientFields::tool_choice);
        open("parallel_tool_calls", ClientFields::parallel_tool_calls);
        open("reasoning", |it| it.reasoning(ReasoningEffort::Medium));
        open("response_format", |it| it.response_format(19));
        open("provider_field", |it| it.provider_field("top_k"));
        fields
    }

    /// The switch of each option, its name on the wire, a value within all ranges, and one beyond.
    fn cases() -> Vec<(&'static str, &'static str, Value, Option<Value>)> {
        let format = |schema: Value| json!({"type": "json_schema", "name": "a", "schema": schema});
        vec![
            ("temperature", "temperature", json!(1), Some(json!(1.1))),
            ("top_p", "topP", json!(0.5), Some(json!(0.4))),
            (
                "max_output_tokens",
                "maxOutputTokens",
                json!(500),
                Some(json!(501)),
            ),
            ("stop", "stop", json!(["\n"]), Some(json!([""]))),
            ("seed", "seed", json!(-7), None),
            (
                "tool_choice",
                "toolChoice",
                json!("required"),
                Some(json!({"name": ""})),
            ),
            (
                "parallel_tool_calls",
                "parallelToolCalls",
                json!(false),
                None,
            ),
            (
                "reasoning",
                "reasoning",
                json!({"effort": "medium"}),
                Some(json!({"effort": "high"})),
            ),
            (
                "response_format",
                "responseFormat",
                // 1 byte of the name, and 18 of the schema.
                format(json!({"type": "objects"})),
                Some(format(json!({"type": "objects2"}))),
            ),
            (
                "provider_field",
                "providerFields",
                json!({"top_k": 40}),
                None,
            ),
        ]
    }

    #[test]
    fn each_option_is_open_by_its_own_switch_and_within_its_range() {
        for (switch, name, value, beyond) in cases() {
            let value = with(&json!({name: value}));
            fits(&all_but(""), &value).unwrap();
            let refusal = fits(&all_but(switch), &value).unwrap_err();
            assert_eq!(refusal.problem, Problem::NotOpen);
            for word in [
                &format!("options.{name}"),
                &format!("ClientFields::{switch}"),
            ] {
                assert!(refusal.detail.contains(word.as_str()), "{}", refusal.detail);
            }
            if let Some(beyond) = beyond {
                let refusal = fits(&all_but(""), &with(&json!({name: beyond}))).unwrap_err();
                assert_eq!(refusal.problem, Problem::NotOpen);
                let word = format!("options.{name}");
                assert!(refusal.detail.contains(&word), "{}", refusal.detail);
            }
        }
    }

    #[test]
    fn the_range_of_an_option_itself_holds_however_wide_it_is_opened() {
        let wide = ClientFields::nothing()
            .temperature(-10.0..=10.0)
            .max_output_tokens(u32::MAX);
        fits(&wide, &with(&json!({"temperature": 2}))).unwrap();
        for options in [json!({"temperature": 2.5}), json!({"maxOutputTokens": 0})] {
            let refusal = fits(&wide, &with(&options)).unwrap_err();
            assert!(refusal.detail.contains("must be"), "{}", refusal.detail);
        }
    }

    #[test]
    fn a_provider_field_is_open_by_its_name() {
        let fields = all_but("");
        let refusal = fits(
            &fields,
            &with(&json!({"providerFields": {"top_k": 1, "n": 9}})),
        );
        let detail = refusal.unwrap_err().detail;
        assert!(detail.contains("`n`"), "{detail}");
        assert!(detail.contains("ClientFields::provider_field"), "{detail}");
    }

    #[test]
    fn a_closed_option_of_the_value_that_it_has_anyhow_asks_for_nothing() {
        let native = crate::dialect::Native::new();
        let applied = |fields: &ClientFields, options: &Value| {
            let mut request = serde_json::from_value(with(options)).unwrap();
            let outcome: Result<(), Refusal> = fields.apply(&mut request, &native);
            outcome.map(|()| serde_json::to_value(&request.options).unwrap())
        };
        let closed = ClientFields::nothing();
        for (name, default, other) in [
            ("toolChoice", json!("auto"), json!("none")),
            ("parallelToolCalls", json!(true), json!(false)),
            (
                "responseFormat",
                json!({"type": "text"}),
                json!({"type": "json_object"}),
            ),
            ("stop", json!([]), json!(["."])),
            ("reasoning", json!({}), json!({"effort": "low"})),
            ("providerFields", json!({}), json!({"top_k": 1})),
            ("temperature", Value::Null, json!(1)),
        ] {
            let default = json!({name: default});
            assert_eq!(applied(&closed, &default), Ok(json!({})), "{name}");
            let refusal = applied(&closed, &json!({name: other})).unwrap_err();
            assert!(refusal.detail.contains(name), "{}", refusal.detail);
        }
        // It counts where it is open: the application may have another default.
        for options in [
            json!({"toolChoice": "auto"}),
            json!({"parallelToolCalls": true}),
        ] {
            assert_eq!(applied(&all_but(""), &options), Ok(options));
        }
        let format = json!({"responseFormat": {"type": "text"}});
        assert_eq!(applied(&all_but(""), &format), Ok(format));
    }

    #[test]
    fn reasoning_without_an_effort_asks_for_nothing() {
        let mut request: crate::chat::ChatRequest =
            serde_json::from_value(with(&json!({"reasoning": {"summary": "auto"}}))).unwrap();
        let native = crate::dialect::Native::new();
        ClientFields::nothing()
            .apply(&mut request, &native)
            .unwrap();
        assert!(request.options.is_empty());
    }
}
