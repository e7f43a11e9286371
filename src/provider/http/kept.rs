use serde_json::{Value, value::RawValue};

use crate::chat::{is_decodable, replace_lone_surrogates};

/// Reads an object that the server must be handed back. `None` if it can't be kept: it is nested too deep, or
/// has a reserved name.
pub(crate) fn kept_object(value: &RawValue) -> Option<Value> {
    let read = || serde_json::from_slice(&replace_lone_surrogates(value.get().as_bytes())).ok();
    is_decodable(value.get())
        .then(read)?
        .filter(Value::is_object)
}
