//! Bodies of requests.

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use super::{Problem, Refusal};

/// The smallest chat request.
pub(super) const EXAMPLE: &str = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;

/// Reads a body. What it is to be, and an example of it, is told to whom it is refused.
pub(super) fn read<T>(body: &Bytes, what: &str, example: &str) -> Result<T, Refusal>
where
    T: DeserializeOwned,
{
    read_or(Problem::WrongShape, body, what, example)
}

/// The same, with what it is called where the JSON is of another shape.
pub(super) fn read_or<T>(
    wrong: Problem,
    body: &Bytes,
    what: &str,
    example: &str,
) -> Result<T, Refusal>
where
    T: DeserializeOwned,
{
    serde_json::from_slice(body).map_err(|error| {
        // A value of the wrong shape ends the reading before the end of the body, so what follows
        // may still not be JSON.
        let json = error.classify() == Category::Data
            && serde_json::from_slice::<IgnoredAny>(body).is_ok();
        if json {
            Refusal::new(
                wrong,
                format!("the body is JSON but not {what} such as {example}: {error}"),
            )
        } else {
            Refusal::new(
                Problem::NotJson,
                format!("send {what} as JSON, such as {example}: {error}"),
            )
        }
    })
}

#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
/// For fields that clients write as `null` instead of leaving them out.
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
