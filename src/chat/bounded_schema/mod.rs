//! A check of values by the JSON Schemas of strangers, in bounded time.
//!
//! A schema can name itself, and name things twice: the time in which a value is checked by it, or in which it is
//! compiled, may grow exponentially with its size. So nothing is compiled here, and the steps of a check are
//! counted: each keyword that meets a value is one, and so are sixteen bytes of a text. After [`MAX_STEPS`] the
//! check gives up.
//!
//! The keywords are those of structured outputs: `type`, `properties`, `required`, `additionalProperties`, `items`,
//! `enum`, `const`, `anyOf`, `oneOf`, `allOf`, `$ref` within the schema, `$defs`, `definitions`, and the bounds of
//! numbers, texts, lists and objects. Annotations, `format` among them, decide nothing. A schema with any other
//! keyword is not checked by: what a part of it would mean is not guessed.

mod subset;
mod value_path;
mod walk;

use serde_json::Value;

use self::{subset::Subset, walk::SchemaWalk};
use super::Mismatch;

/// The most steps of a check.
const MAX_STEPS: usize = 1_000_000;

/// The result of a bounded check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SchemaVerdict {
    Fits,
    Differs(Mismatch),
    Unchecked(UncheckedReason),
}

/// The reason why a value wasn't checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UncheckedReason {
    #[error("the schema has the keyword {0:?}, or a value of it, that isn't checked by")]
    Keyword(String),
    #[error("the check takes more than {MAX_STEPS} steps")]
    Steps,
}

/// Checks a value by a schema.
pub(crate) fn check_bounded(schema: &Value, value: &Value) -> SchemaVerdict {
    let checked = Subset::of(schema).and_then(|_| SchemaWalk::new(schema, MAX_STEPS).run(value));
    match checked {
        Ok(None) => SchemaVerdict::Fits,
        Ok(Some(places)) => SchemaVerdict::Differs(Mismatch::new(places)),
        Err(reason) => SchemaVerdict::Unchecked(reason),
    }
}

#[cfg(test)]
mod tests;
