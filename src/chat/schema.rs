use std::fmt::{self, Write};

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::Mismatch;

// Further places show at the next check.
const MAX_PLACES: usize = 5;
// The largest size of a compiled pattern, in bytes.
const PATTERN_SIZE: usize = 1024 * 1024;

/// A compiled JSON Schema. Checking is cheap, compiling isn't.
///
/// Draft 2020-12 unless the schema names another. Nothing is fetched: references must stay within
/// the schema. Patterns are matched in linear time, so look-around and back-references are refused.
/// That bounds patterns, not schemas as a whole: don't compile schemas that strangers send.
///
/// ```
/// use serde_json::json;
/// use unbroken::chat::Schema;
///
/// let schema = Schema::new(&json!({
///     "type": "object",
///     "properties": {"days": {"type": "integer", "maximum": 7}},
///     "required": ["days"],
/// }))?;
/// assert!(schema.check(&json!({"days": 3})).is_ok());
/// let mismatch = schema.check(&json!({"days": 9})).unwrap_err();
/// assert!(mismatch.to_string().contains("/days"), "{mismatch}");
/// # Ok::<_, unbroken::chat::InvalidSchema>(())
/// ```
pub struct Schema {
    validator: Validator,
}

/// The error of a value that can't be compiled as a JSON Schema.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON Schema that can be used here: {reason}")]
pub struct InvalidSchema {
    reason: String,
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    ///
    /// If the value is no JSON Schema, refers to something outside itself, or has a pattern that
    /// can't be matched in linear time.
    pub fn new(schema: &Value) -> Result<Self, InvalidSchema> {
        let patterns = PatternOptions::regex()
            .size_limit(PATTERN_SIZE)
            .dfa_size_limit(PATTERN_SIZE);
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(patterns)
            .build(schema)
            .map_err(|error| InvalidSchema {
                reason: error.to_string(),
            })?;
        Ok(Self { validator })
    }

    /// Checks a value.
    ///
    /// # Errors
    ///
    /// If the value doesn't fit. The error lists the first few places.
    pub fn check(&self, value: &Value) -> Result<(), Mismatch> {
        let mut places = String::new();
        let mut errors = self.validator.iter_errors(value);
        for error in errors.by_ref().take(MAX_PLACES) {
            let separator = if places.is_empty() { "" } else { "; " };
            let path = error.instance_path().to_string();
            let place = if path.is_empty() { "as a whole" } else { &path };
            let _ = write!(places, "{separator}{place}: {}", error.masked());
        }
        if places.is_empty() {
            return Ok(());
        }
        if errors.next().is_some() {
            places.push_str("; and more");
        }
        Err(Mismatch::new(places))
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mismatch_names_the_place_and_repeats_no_value() {
        let schema = Schema::new(&json!({
            "type": "object",
            "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}, "age": {"type": "integer"}},
            "required": ["name"],
            "additionalProperties": false,
        }))
        .unwrap();
        assert_eq!(schema.check(&json!({"name": "ada", "age": 36})), Ok(()));
        for (value, place) in [
            (json!({"name": "s3cret"}), "/name"),
            (json!({"name": "ada", "age": "s3cret"}), "/age"),
            (json!({}), "as a whole"),
            (json!("s3cret"), "as a whole"),
        ] {
            let said = schema.check(&value).unwrap_err().to_string();
            assert!(said.contains(place), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn a_mismatch_lists_a_bounded_number_of_places() {
        let schema = Schema::new(&json!({"items": {"type": "string"}})).unwrap();
        let said = schema.check(&json!([1, 2, 3, 4, 5, 6, 7])).unwrap_err();
        assert!(said.to_string().ends_with("; and more"), "{said}");
        assert_eq!(said.to_string().matches('/').count(), MAX_PLACES);
    }

    #[test]
    fn schemas_that_can_not_be_checked_safely_are_refused() {
        for bad in [
            json!({"type": "no such type"}),
            json!({"$ref": "http://127.0.0.1:1/schema.json"}),
            json!({"$ref": "file:///etc/hostname"}),
            json!({"pattern": "(?=a)b"}),
            json!({"pattern": r"(a)\1"}),
            json!({"pattern": "("}),
            json!(7),
        ] {
            assert!(Schema::new(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn references_within_the_schema_are_followed() {
        let tree = json!({
            "$ref": "#/$defs/node",
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        });
        let schema = Schema::new(&tree).unwrap();
        assert!(schema.check(&json!({"next": {"next": {}}})).is_ok());
        assert!(schema.check(&json!({"next": {"next": 7}})).is_err());
    }
}
