use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

/// Headers as JSON: a list of pairs, in the order of the map. A byte of a value is the character of its number
/// (ISO-8859-1), so that all of them survive.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct HeaderPairs(Vec<(String, String)>);

impl HeaderPairs {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |value: &HeaderValue| value.as_bytes().iter().copied().map(char::from).collect();
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)));
        Self(pairs.collect())
    }

    /// Returns the headers. `None` if a name or a value can't be one.
    pub(super) fn into_map(self) -> Option<HeaderMap> {
        let mut headers = HeaderMap::with_capacity(self.0.len());
        for (name, value) in self.0 {
            let name: HeaderName = name.parse().ok()?;
            let bytes: Result<Vec<u8>, _> = value.chars().map(u8::try_from).collect();
            headers.append(name, HeaderValue::from_bytes(&bytes.ok()?).ok()?);
        }
        Some(headers)
    }
}
