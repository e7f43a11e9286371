//! Reads the fields of parts of content, with refusals that name them.

use serde_json::{Map, Value};

/// The fields of a part of content, or of an object in it.
#[derive(Debug)]
pub(super) struct PartFields {
    /// The name of the object in its part, with a dot; nothing for the part itself.
    of: String,
    fields: Map<String, Value>,
}

impl PartFields {
    /// Returns the fields of a part.
    pub(super) fn of_part(part: Value) -> Result<Self, String> {
        match part {
            Value::Object(fields) => Ok(Self {
                of: String::new(),
                fields,
            }),
            _ => Err("a part must be an object".to_owned()),
        }
    }

    /// Takes a field; `null` is none.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a text, if there is one.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("`{}{name}` must be a string", self.of)),
        }
    }

    /// Takes a text that has to be there.
    pub(super) fn required_text(&mut self, name: &str) -> Result<String, String> {
        let text = self.text(name)?;
        text.ok_or_else(|| format!("`{}{name}` is missing", self.of))
    }

    /// Takes an object, if there is one.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self {
                of: format!("{}{name}.", self.of),
                fields,
            })),
            Some(_) => Err(format!("`{}{name}` must be an object", self.of)),
        }
    }
}
