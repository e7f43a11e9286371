//! Our own namespace in the metadata of parts, and the metadata of an answer.
//!
//! The SDK keeps `providerMetadata` of a part whole and sends it back with the message.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::chat::{Citation, Complete, Media, MediaDetail, ProviderState, Usage};

/// The namespace.
const NAMESPACE: &str = "unbroken";
const STATE: &str = "providerState";
const INCOMPLETE: &str = "incomplete";
const NAME: &str = "name";
const DETAIL: &str = "detail";
const CALL: &str = "toolCallId";
const AT: &str = "at";

/// Returns the metadata with what the provider must be handed back.
pub(super) fn of_state(state: &ProviderState) -> Value {
    of(json!({ STATE: state }))
}

/// Returns what the provider must be handed back, from the metadata of a part.
pub(super) fn state(metadata: Option<&Value>) -> Option<ProviderState> {
    serde_json::from_value(own(metadata)?.get(STATE)?.clone()).ok()
}

/// Returns why what the provider must be handed back, or the detail of a file, can't be read from the metadata of a
/// part.
pub(super) fn problem(metadata: Option<&Value>) -> Option<String> {
    let own = own(metadata)?;
    let wrong = |name: &str| {
        format!("`{NAMESPACE}.{name}` of its metadata is not of this server; leave it out")
    };
    let state = own.get(STATE).map(ProviderState::deserialize);
    let detail = own.get(DETAIL).map(MediaDetail::deserialize);
    if matches!(state, Some(Err(_))) {
        return Some(wrong(STATE));
    }
    matches!(detail, Some(Err(_))).then(|| wrong(DETAIL))
}

/// Returns the metadata with the name and the detail of a file, which a `file` chunk has no fields for.
pub(super) fn of_media(media: &Media) -> Option<Value> {
    let fields = media_fields(media);
    (!fields.is_empty()).then(|| of(fields))
}

/// Returns the metadata of a medium in the result of a call, at a place in its text; `None` for its end.
pub(super) fn of_result(media: &Media, call_id: &str, at: Option<usize>) -> Value {
    let mut fields = media_fields(media);
    fields.insert(CALL.into(), call_id.into());
    if let Some(at) = at {
        fields.insert(AT.into(), at.into());
    }
    of(fields)
}

fn media_fields(media: &Media) -> Map<String, Value> {
    let mut fields = Map::new();
    if let Some(name) = &media.name {
        fields.insert(NAME.into(), name.as_str().into());
    }
    if let Some(detail) = media.detail {
        fields.insert(DETAIL.into(), detail.as_str().into());
    }
    fields
}

/// Returns the call in whose result a file is, and its place in the text.
pub(super) fn result(metadata: Option<&Value>) -> Option<(&str, usize)> {
    let own = own(metadata)?;
    let at = own.get(AT).and_then(Value::as_u64).unwrap_or(u64::MAX);
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    Some((own.get(CALL)?.as_str()?, at))
}

/// Returns the name of a file.
pub(super) fn name(metadata: Option<&Value>) -> Option<&str> {
    own(metadata)?.get(NAME)?.as_str()
}

/// Returns the detail of a file.
pub(super) fn detail(metadata: Option<&Value>) -> Option<MediaDetail> {
    serde_json::from_value(own(metadata)?.get(DETAIL)?.clone()).ok()
}

/// Returns the metadata with the fields of a source that its chunk has none for.
pub(super) fn of_source(source: &Citation) -> Option<Value> {
    let mut fields = Map::new();
    if let Some(quote) = &source.quote {
        fields.insert("quote".into(), quote.as_str().into());
    }
    if let Some(at) = &source.at {
        fields.insert("at".into(), json!(at));
    }
    // A chunk of a page has no field for it.
    if let (Some(_), Some(media_type)) = (&source.url, &source.media_type) {
        fields.insert("mediaType".into(), media_type.as_str().into());
    }
    (!fields.is_empty()).then(|| of(fields))
}

/// Returns the metadata of a call that was announced and never came, or that never ended.
pub(super) fn of_incomplete() -> Value {
    of(json!({ INCOMPLETE: true }))
}

/// Returns true for the metadata of a call that was announced and never came, or that never ended.
pub(super) fn is_incomplete(metadata: Option<&Value>) -> bool {
    own(metadata).is_some_and(|own| own.get(INCOMPLETE) == Some(&Value::Bool(true)))
}

/// Returns the metadata of an answer, `{usage, model, unbroken}`, as far as they are known. `complete` is
/// the end of the answer.
pub(super) fn of_answer(
    usage: Option<&Usage>,
    model: Option<&str>,
    complete: Option<&Complete>,
) -> Option<Value> {
    let mut fields = Map::new();
    if let Some(usage) = usage {
        fields.insert("usage".into(), json!(usage));
    }
    if let Some(model) = model {
        fields.insert("model".into(), model.into());
    }
    let mut own = Map::new();
    for (name, told) in [
        ("mismatch", complete.and_then(|it| it.mismatch.as_deref())),
        ("unchecked", complete.and_then(|it| it.unchecked.as_deref())),
    ] {
        own.extend(told.map(|told| (name.to_owned(), told.into())));
    }
    if !own.is_empty() {
        fields.insert(NAMESPACE.into(), own.into());
    }
    (!fields.is_empty()).then(|| fields.into())
}

fn of(fields: impl Into<Value>) -> Value {
    json!({ NAMESPACE: fields.into() })
}

fn own(metadata: Option<&Value>) -> Option<&Value> {
    metadata?.get(NAMESPACE)
}
