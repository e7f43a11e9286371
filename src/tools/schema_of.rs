use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// Returns the JSON Schema of a type, without fields that models don't use and some servers refuse.
pub(super) fn schema_of<T>() -> Value
where
    T: JsonSchema,
{
    let mut schema = SchemaGenerator::default().into_root_schema_for::<T>();
    schema.remove("$schema");
    schema.remove("title");
    schema.to_value()
}
