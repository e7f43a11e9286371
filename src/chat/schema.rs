use std::fmt::{self, Write};

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::Mismatch;

// Whoever gets the rest wrong too hears of it the next time.
const MAX_FLAWS: usize = 5;
// Of a compiled pattern, in bytes.
const PATTERN_SIZE: usize = 1024 * 1024;

/// A JSON Schema that was read once, to check values against. Cheap to check with, not to make.
///
/// Draft 2020-12 unless it names another. It fetches nothing: references must stay within it.
/// Patterns are matched in linear time, so look-around and back-references are refused. That bounds
/// patterns, not schemas as a whole: don't read those of strangers.
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

/// Why a value is not a JSON Schema that we read.
#[derive(Debug, thiserror::Error)]
#[error("not a JSON Schema that can be used here: {reason}")]
pub struct InvalidSchema {
    reason: String,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    ///
    /// If it is none, or refers to something outside of it, or has a pattern that can't be matched in
    /// linear time.
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

    /// Whether `value` fits.
    ///
    /// # Errors
    ///
    /// The first few places where it doesn't.
    pub fn check(&self, value: &Value) -> Result<(), Mismatch> {
        let mut flaws = String::new();
        let mut errors = self.validator.iter_errors(value);
        for error in errors.by_ref().take(MAX_FLAWS) {
            let separator = if flaws.is_empty() { "" } else { "; " };
            let path = error.instance_path().to_string();
            let place = if path.is_empty() { "as a whole" } else { &path };
            let _ = write!(flaws, "{separator}{place}: {}", error.masked());
        }
        if flaws.is_empty() {
            return Ok(());
        }
        if errors.next().is_some() {
            flaws.push_str("; and more");
        }
        Err(Mismatch::new(flaws))
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
    fn a_mismatch_says_where_and_repeats_no_value() {
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
    fn not_every_flaw_is_told() {
        let schema = Schema::new(&json!({"items": {"type": "string"}})).unwrap();
        let said = schema.check(&json!([1, 2, 3, 4, 5, 6, 7])).unwrap_err();
        assert!(said.to_string().ends_with("; and more"), "{said}");
        assert_eq!(said.to_string().matches('/').count(), MAX_FLAWS);
    }

    #[test]
    fn what_can_not_be_checked_safely_is_refused() {
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
