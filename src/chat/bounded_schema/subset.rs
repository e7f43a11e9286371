use std::{collections::HashSet, ptr};

use serde_json::{Map, Value};

use super::UncheckedReason;

const TYPES: [&str; 7] = [
    "string", "number", "integer", "boolean", "object", "array", "null",
];
/// Keywords that decide nothing.
const ANNOTATIONS: [&str; 10] = [
    "title",
    "description",
    "default",
    "examples",
    "$comment",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "$schema",
];

/// The scan of a schema for what can't be checked by. It visits each part once.
#[derive(Debug)]
pub(super) struct Subset<'a> {
    root: &'a Value,
    /// The parts that are schemas, by their addresses.
    schemas: HashSet<*const Value>,
    references: Vec<&'a str>,
    /// True for a draft in which `$ref` replaces all that stands beside it.
    references_replace: bool,
}

impl<'a> Subset<'a> {
    /// Scans a schema.
    ///
    /// # Errors
    ///
    /// If it has anything but the known keywords with values of their types.
    pub(super) fn of(root: &'a Value) -> Result<Self, UncheckedReason> {
        let mut this = Self {
            root,
            schemas: HashSet::new(),
            references: Vec::new(),
            references_replace: false,
        };
        if let Some(draft) = root.get("$schema") {
            let draft = draft.as_str().unwrap_or_default();
            this.references_replace = ["draft-06", "draft-07"].iter().any(|it| draft.contains(it));
            let is_newer = ["2019-09", "2020-12"].iter().any(|it| draft.contains(it));
            if !this.references_replace && !is_newer {
                return Err(unknown("$schema"));
            }
        }
        this.schema(root)?;
        for reference in &this.references {
            let target = target(root, reference);
            if !target.is_some_and(|it| this.schemas.contains(&ptr::from_ref(it))) {
                return Err(unknown("$ref"));
            }
        }
        Ok(this)
    }

    fn schema(&mut self, schema: &'a Value) -> Result<(), UncheckedReason> {
        self.schemas.insert(ptr::from_ref(schema));
        let keywords = match schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(keywords) => keywords,
            _ => return Err(unknown("a schema that is no object")),
        };
        for (keyword, value) in keywords {
            self.keyword(schema, keywords, keyword, value)?;
        }
        Ok(())
    }

    fn keyword(
        &mut self,
        schema: &Value,
        beside: &Map<String, Value>,
        keyword: &str,
        value: &'a Value,
    ) -> Result<(), UncheckedReason> {
        let is_known = match keyword {
            "type" => match value {
                Value::Array(types) => !types.is_empty() && types.iter().all(is_type),
                one => is_type(one),
            },
            "properties" | "$defs" | "definitions" => {
                let Value::Object(schemas) = value else {
                    return Err(unknown(keyword));
                };
                return schemas.values().try_for_each(|it| self.schema(it));
            }
            "items" | "additionalProperties" => return self.schema(value),
            "anyOf" | "oneOf" | "allOf" => match value {
                Value::Array(schemas) if !schemas.is_empty() => {
                    return schemas.iter().try_for_each(|it| self.schema(it));
                }
                _ => false,
            },
            "$ref" => match value.as_str() {
                Some(reference) => {
                    self.references.push(reference);
                    let decides = |keyword: &String| {
                        keyword != "$ref"
                            && keyword != "$defs"
                            && keyword != "definitions"
                            && !ANNOTATIONS.contains(&keyword.as_str())
                    };
                    !(self.references_replace && beside.keys().any(decides))
                }
                None => false,
            },
            "required" => {
                let names = value.as_array();
                names.is_some_and(|names| names.iter().all(Value::is_string))
            }
            "enum" => value.is_array(),
            "const" => true,
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => value.is_number(),
            "multipleOf" => value.as_f64().is_some_and(|it| it > 0.0),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties"
            | "maxProperties" => value.is_u64(),
            // Another draft further inside would change the meaning of the keywords.
            "$schema" => ptr::eq(schema, self.root),
            other => ANNOTATIONS.contains(&other),
        };
        if is_known {
            Ok(())
        } else {
            Err(unknown(keyword))
        }
    }
}

/// Returns the part of a schema that a reference names.
pub(super) fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#')?;
    // Such a fragment is encoded.
    if pointer.contains('%') {
        return None;
    }
    root.pointer(pointer)
}

fn is_type(value: &Value) -> bool {
    value.as_str().is_some_and(|name| TYPES.contains(&name))
}

fn unknown(keyword: &str) -> UncheckedReason {
    UncheckedReason::Keyword(keyword.chars().take(64).collect())
}
