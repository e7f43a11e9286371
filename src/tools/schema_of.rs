use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// The JSON Schema of a type, without what models have no use for and some servers refuse.
pub(super) fn schema_of<T>() -> Value
where
    T: JsonSchema,
{
    let mut schema = SchemaGenerator::default().into_root_schema_for::<T>();
    schema.remove("$schema");
    schema.remove("title");
    schema.to_value()
}
