//! Reads the bodies of requests.

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, error::Category};

use super::{Element, Problem, Refusal, RequestLimits, head::parse_id};
use crate::{
    chat::{ChatRequest, JsonDepth, RESERVED, has_reserved_name, replace_lone_surrogates},
    log::SessionId,
};

/// A minimal chat request, for error messages.
pub(super) const EXAMPLE: &str = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;

/// The nesting that the parser reads; it stops at the next level.
const MAX_DEPTH: usize = 127;

/// Reads a body within the limits on its depth and its values. A refusal names the expected value, `what`, and
/// shows the example.
///
/// `texts` counts the values in the texts of the body that are decoded as JSON, which are limited together
/// with its own. Returns the number of all.
pub(super) fn read<T>(
    body: &Bytes,
    limits: &RequestLimits,
    what: &str,
    example: &str,
    texts: impl FnOnce(&T) -> usize,
) -> Result<(T, usize), Refusal>
where
    T: DeserializeOwned,
{
    let values = limits.count_json(body)?;
    let read = read_or(Problem::WrongShape, body, what, example)?;
    let values = values.saturating_add(texts(&read));
    limits.check(Element::Value, values)?;
    Ok((read, values))
}

/// Reads the few fields of a body that the access policy decides by, and keeps no other.
pub(super) fn read_subject<T>(body: &Bytes, what: &str, example: &str) -> Result<T, Refusal>
where
    T: DeserializeOwned,
{
    read_or(Problem::WrongShape, body, what, example)
}

/// Reads a body, with the problem to report for JSON of another shape. A lone surrogate is read as U+FFFD.
pub(super) fn read_or<T>(
    wrong: Problem,
    body: &Bytes,
    what: &str,
    example: &str,
) -> Result<T, Refusal>
where
    T: DeserializeOwned,
{
    if has_reserved_name(body) {
        return Err(Refusal::new(
            wrong,
            format!("the body has a field whose name begins with `{RESERVED}`; rename it"),
        ));
    }
    let body = &*replace_lone_surrogates(body);
    serde_json::from_slice(body).map_err(|error| {
        // A value of the wrong shape stops the parser before the end of the body, and the rest may
        // not be JSON.
        let json = error.classify() == Category::Data
            && serde_json::from_slice::<IgnoredAny>(body).is_ok();
        if JsonDepth::of(body) > MAX_DEPTH {
            Refusal::new(
                wrong,
                format!("the body is nested deeper than {MAX_DEPTH} levels; nest it less"),
            )
        } else if json {
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

/// Takes the field `continues`, the session whose calls the request answers, out of a chat request.
pub(super) fn continues(request: &mut ChatRequest) -> Result<Option<SessionId>, Refusal> {
    match request.extra.remove("continues") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) => parse_id(&id).map(Some),
        Some(_) => Err(Refusal::new(
            Problem::WrongShape,
            "`continues` is the id of the session that handed the calls over",
        )),
    }
}
