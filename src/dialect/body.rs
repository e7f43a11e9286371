//! Reads the bodies of requests.

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use super::{Problem, Refusal};

/// A minimal chat request, for error messages.
pub(super) const EXAMPLE: &str = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;

/// Reads a body. A refusal names the expected value, `what`, and shows the example.
pub(super) fn read<T>(body: &Bytes, what: &str, example: &str) -> Result<T, Refusal>
where
    T: DeserializeOwned,
{
    read_or(Problem::WrongShape, body, what, example)
}

/// Reads a body like [`read`], with the problem to report for JSON of another shape.
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
        // A value of the wrong shape stops the parser before the end of the body, and the rest may
        // not be JSON.
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

/// Reads a field that some clients send as `null` instead of omitting it.
#[cfg(any(feature = "ag-ui", feature = "openai-responses"))]
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
