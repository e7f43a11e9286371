#[cfg(any(feature = "ai-sdk", feature = "openai-responses"))]
use serde_json::{Map, Value};

/// Settings that have no option of their own: their names in clients, and those of the fields of Chat
/// Completions, which other servers share.
const FIELDS: &[(&str, &str)] = &[
    ("topK", "top_k"),
    ("presencePenalty", "presence_penalty"),
    ("frequencyPenalty", "frequency_penalty"),
];

/// Returns the field of `providerFields` that a setting is, by either name.
#[cfg(feature = "ag-ui")]
pub(super) fn field_of(name: &str) -> Option<&'static str> {
    let mut fields = FIELDS.iter();
    let found = fields.find(|(theirs, field)| *theirs == name || *field == name);
    found.map(|(_, field)| *field)
}

/// Takes the settings out of the fields of a request. `null` asks for nothing.
///
/// # Errors
///
/// The name of a setting that is no number.
#[cfg(any(feature = "ai-sdk", feature = "openai-responses"))]
pub(super) fn take(fields: &mut Map<String, Value>) -> Result<Map<String, Value>, &'static str> {
    let mut taken = Map::new();
    for (theirs, field) in FIELDS {
        for name in [*theirs, *field] {
            match fields.remove(name) {
                None | Some(Value::Null) => {}
                Some(value @ Value::Number(_)) => {
                    taken.insert((*field).to_owned(), value);
                }
                Some(_) => return Err(name),
            }
        }
    }
    Ok(taken)
}

#[cfg(all(test, feature = "ag-ui", feature = "ai-sdk"))]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_fields_by_either_name() {
        let fields = |value: Value| value.as_object().unwrap().clone();
        let mut body =
            fields(json!({"topK": 40, "presence_penalty": 0.5, "frequencyPenalty": null, "n": 1}));
        let taken = take(&mut body).unwrap();
        assert_eq!(taken, fields(json!({"top_k": 40, "presence_penalty": 0.5})));
        assert_eq!(body, fields(json!({"n": 1})));
        assert_eq!(take(&mut fields(json!({"topK": "many"}))), Err("topK"));
        assert_eq!(field_of("topK"), Some("top_k"));
        assert_eq!(field_of("top_k"), Some("top_k"));
        assert_eq!(field_of("topP"), None);
    }
}
