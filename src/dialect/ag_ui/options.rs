use serde_json::{Map, Value};

use crate::{
    chat::ChatOptions,
    dialect::{Problem, Refusal, sampling, unread},
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

const PROPS: &str = "forwardedProps";
const MODEL_OPTIONS: &str = "forwardedProps.modelOptions";

/// What a request asks of the model in its props.
pub(super) struct PropSettings {
    pub(super) model: Option<String>,
    pub(super) options: ChatOptions,
    /// Settings that are no options, by their places. They are for the application to open.
    pub(super) unread: Map<String, Value>,
}

/// Reads the model and the options of a request. Other props are the application's, unless their names are those of
/// settings; other model options are all settings.
pub(super) fn of_props(props: &Map<String, Value>) -> Result<PropSettings, Refusal> {
    let (mut options, mut unread) = (ChatOptions::new(), Map::new());
    for (name, value) in props {
        let is_read = set(&mut options, PROPS, name, value)?
            || ["model", "modelOptions"].contains(&&**name)
            || unread::meaning(&unread::snake_case(name)).is_none();
        if !is_read {
            unread.insert(format!("{PROPS}.{name}"), value.clone());
        }
    }
    let wrong = |why: String| Refusal::new(Problem::WrongShape, why);
    match props.get("modelOptions") {
        None | Some(Value::Null) => {}
        Some(Value::Object(of_model)) => {
            for (name, value) in of_model {
                if !set(&mut options, MODEL_OPTIONS, name, value)? {
                    unread.insert(format!("{MODEL_OPTIONS}.{name}"), value.clone());
                }
            }
        }
        Some(_) => return Err(wrong(format!("`{MODEL_OPTIONS}` must be an object"))),
    }
    let model = match props.get("model") {
        None | Some(Value::Null) => None,
        Some(Value::String(model)) => Some(model.clone()),
        Some(_) => return Err(wrong(format!("`{PROPS}.model` must be a string"))),
    };
    Ok(PropSettings {
        model,
        options,
        unread,
    })
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
    unread::check_option(&format!("{of}.{name}"), ours, value)?;
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
