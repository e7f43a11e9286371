use serde_json::{Map, Value};

use crate::{
    chat::ChatOptions,
    dialect::{Problem, Refusal, sampling},
};

/// The names of options in `forwardedProps` and its `modelOptions`, and ours.
const NAMES: &[(&str, &str)] = &[
    ("temperature", "temperature"),
    ("topP", "topP"),
    ("top_p", "topP"),
    ("maxTokens", "maxOutputTokens"),
    ("max_tokens", "maxOutputTokens"),
    ("maxOutputTokens", "maxOutputTokens"),
    ("max_output_tokens", "maxOutputTokens"),
    ("stop", "stop"),
    ("stopSequences", "stop"),
    ("seed", "seed"),
    ("toolChoice", "toolChoice"),
    ("tool_choice", "toolChoice"),
    ("parallelToolCalls", "parallelToolCalls"),
    ("parallel_tool_calls", "parallelToolCalls"),
    ("reasoning", "reasoning"),
    ("responseFormat", "responseFormat"),
];

/// Reads the model and the options of a request. Other props are the application's; other model options
/// are refused, because no provider gets them.
pub(super) fn of_props(
    props: &Map<String, Value>,
) -> Result<(Option<String>, ChatOptions), Refusal> {
    let mut options = ChatOptions::new();
    for (name, value) in props {
        set(&mut options, "forwardedProps", name, value)?;
    }
    let of_model = props.get("modelOptions").and_then(Value::as_object);
    for (name, value) in of_model.into_iter().flatten() {
        if !set(&mut options, "forwardedProps.modelOptions", name, value)? && !value.is_null() {
            let name = name.escape_debug();
            return Err(Refusal::new(
                Problem::NotOpen,
                format!(
                    "`forwardedProps.modelOptions.{name}` has no effect on this server's model; leave it out"
                ),
            ));
        }
    }
    let model = props.get("model").and_then(Value::as_str);
    Ok((model.map(str::to_owned), options))
}

/// Sets an option, and returns false if there is none of this name.
fn set(options: &mut ChatOptions, of: &str, name: &str, value: &Value) -> Result<bool, Refusal> {
    if let Some(field) = sampling::field_of(name) {
        if value.is_number() {
            options
                .provider_fields
                .insert(field.to_owned(), value.clone());
        } else if !value.is_null() {
            let why = format!("`{of}.{name}` must be a number");
            return Err(Refusal::new(Problem::WrongShape, why));
        }
        return Ok(true);
    }
    let Some((_, ours)) = NAMES.iter().find(|(own, _)| *own == name) else {
        return Ok(false);
    };
    if value.is_null() {
        return Ok(true);
    }
    let wrong = |why: String| Refusal::new(Problem::WrongShape, why);
    let mut all = serde_json::to_value(&*options).unwrap_or_default();
    all[*ours] = match value {
        // One text at which the model stops.
        Value::String(_) if *ours == "stop" => Value::Array(vec![value.clone()]),
        value => value.clone(),
    };
    *options =
        serde_json::from_value(all).map_err(|error| wrong(format!("`{of}.{name}`: {error}")))?;
    options.check().map_err(|error| {
        // Of a part of the option: `responseFormat.name`.
        let part = error.name().strip_prefix(ours).unwrap_or_default();
        wrong(format!("`{of}.{name}{part}` must be {}", error.range()))
    })?;
    Ok(true)
}
