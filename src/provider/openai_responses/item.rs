//! The items of a response.

use std::collections::VecDeque;

use serde_json::{Map, Value, json, value::RawValue};

use super::{calls::CallItem, position::PROVIDER, progress::ItemTextKind, turn::ResponsesTurn};
use crate::{
    chat::{ChatEvent, ProviderError, ProviderState, ProviderStateEvent, StateOf},
    provider::http::{
        argument_bytes,
        json::{each_element, is_truthy, members, name, string},
        kept_object, not_passed_on,
    },
};

/// The fields of an item that clients are told of a tool that the server runs.
const TOLD: [&str; 6] = ["id", "status", "action", "queries", "name", "server_label"];
const MAX_TOLD_BYTES: usize = 4096;

/// Returns the event that keeps items that the server must be handed back.
pub(super) fn turn_state(items: Vec<Value>) -> ChatEvent {
    let items = Value::Array(items);
    let state = ProviderState::new(
        PROVIDER,
        Map::from_iter([("items".to_owned(), items)]).into(),
    );
    ProviderStateEvent::new(StateOf::Turn, state).into()
}

impl ResponsesTurn {
    /// Takes the beginning of an item.
    pub(super) fn item_added(
        &mut self,
        index: u64,
        item: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let names = ["id", "type", "call_id", "name", "arguments"];
        let Ok([id, class, call_id, function, arguments]) = members(item.get(), names) else {
            self.odd.note("item");
            return Ok(());
        };
        let id = id.and_then(name);
        let key = self.items.begin(index, id.clone());
        self.check_items()?;
        match &*class.and_then(string).unwrap_or_default() {
            "function_call" => {
                let call = CallItem {
                    call_id: call_id.and_then(name).or(id).unwrap_or_default(),
                    name: function.and_then(name).unwrap_or_default(),
                    arguments: argument_bytes(arguments).into_owned(),
                    is_incomplete: false,
                };
                let before = std::mem::take(&mut self.held);
                self.calls.begin(key, call, before, out)?;
            }
            "message" | "reasoning" | "image_generation_call" | "" => {}
            class => self.tell(class, item, out),
        }
        Ok(())
    }

    /// Takes a whole item.
    pub(super) fn item_done(
        &mut self,
        key: u64,
        item: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let names = [
            "id",
            "type",
            "status",
            "content",
            "summary",
            "call_id",
            "name",
            "arguments",
            "encrypted_content",
            "phase",
        ];
        let Ok(
            [
                id,
                class,
                status,
                content,
                summary,
                call_id,
                function,
                arguments,
                encrypted,
                phase,
            ],
        ) = members(item.get(), names)
        else {
            self.odd.note("item");
            return Ok(());
        };
        let id = id.and_then(name);
        if !self.items.finish(key, id.clone()) {
            return Ok(());
        }
        self.check_items()?;
        let class = class.and_then(string).unwrap_or_default();
        if waits_for_output(&class, item) {
            self.is_lost = true;
            let what = if RUN_BY_CLIENTS.contains(&&*class) {
                format!("a call of the type `{class}`")
            } else {
                // The words of the server aren't for clients.
                tracing::warn!(class, "a call of an unknown type can't be passed on");
                "a call of an unknown type".to_owned()
            };
            return Err(not_passed_on(&what, "only functions are known"));
        }
        match &*class {
            "message" => {
                if let Some(content) = content {
                    self.content(key, content, out)?;
                }
                if let Some(phase) = phase.and_then(string) {
                    self.keep(json!({"type": "message", "phase": phase}), out)?;
                }
            }
            "reasoning" => {
                if let Some(summary) = summary {
                    self.texts(key, ItemTextKind::Summary, summary, out)?;
                }
                if let Some(content) = content {
                    self.texts(key, ItemTextKind::Reasoning, content, out)?;
                }
                // Without any of these, the server has nothing to read it by.
                let has_content = content.is_some_and(|it| it.get() != "[]" && is_truthy(it));
                let is_stored = self.is_stored && id.is_some();
                if encrypted.is_some_and(is_truthy) || has_content || is_stored {
                    self.keep_item(item, out)?;
                }
            }
            "function_call" => {
                let call = CallItem {
                    call_id: call_id.and_then(name).or(id).unwrap_or_default(),
                    name: function.and_then(name).unwrap_or_default(),
                    arguments: argument_bytes(arguments).into_owned(),
                    is_incomplete: status.and_then(string).as_deref() == Some("incomplete"),
                };
                let before = std::mem::take(&mut self.held);
                self.calls.finish(key, call, before)?;
            }
            "image_generation_call" => self.picture(item, out)?,
            "" => self.odd.note("item.type"),
            class => {
                self.tell(class, item, out);
                self.found(item, out)?;
                self.keep_item(item, out)?;
            }
        }
        Ok(())
    }

    /// Takes the content of a whole message.
    fn content(
        &mut self,
        key: u64,
        content: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let mut index = 0;
        let listed = each_element(content, |part| {
            let names = ["text", "refusal", "annotations", "type"];
            let Ok([text, refusal, annotations, class]) = members(part.get(), names) else {
                self.odd.note("content");
                return Ok(());
            };
            if text.or(refusal).is_none() {
                let class = class.and_then(string).unwrap_or_default();
                self.pictures.refuse_medium(&class)?;
            }
            self.rest(key, ItemTextKind::Text, index, text.or(refusal), out)?;
            if let Some(annotations) = annotations {
                let told = match self.items.part(key, ItemTextKind::Text) {
                    Some(part) if part.index == index => part.cited,
                    Some(part) if part.index > index => u64::MAX,
                    _ => 0,
                };
                let mut at = 0;
                each_element(annotations, |annotation| {
                    if at >= told {
                        self.annotation(key, index, annotation, out);
                    }
                    at += 1;
                    Ok(())
                })?;
            }
            index += 1;
            Ok(())
        })?;
        if !listed {
            self.odd.note("content");
        }
        Ok(())
    }

    /// Takes the texts of whole reasoning.
    fn texts(
        &mut self,
        key: u64,
        kind: ItemTextKind,
        texts: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let mut index = 0;
        let listed = each_element(texts, |part| {
            let text = members(part.get(), ["text"]).ok().and_then(|[text]| text);
            self.rest(key, kind, index, text, out)?;
            index += 1;
            Ok(())
        })?;
        if !listed {
            self.odd.note("summary");
        }
        Ok(())
    }

    /// Takes a picture that the model made. It goes back with the item, which is kept without it.
    fn picture(
        &mut self,
        item: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let [result, format] = members(item.get(), ["result", "output_format"]).unwrap_or_default();
        let Some(result) = result.filter(|result| is_truthy(result)) else {
            // It failed, and the model says so.
            self.tell("image_generation_call", item, out);
            return Ok(());
        };
        let format = format.and_then(string);
        let format = format.filter(|it| it.bytes().all(|byte| byte.is_ascii_lowercase()));
        let base64 = string(result).filter(|it| !it.contains([':', ',']));
        let before = out.len();
        match (format, base64) {
            (Some(format), Some(base64)) => {
                let kind = if format == "svg" { "svg+xml" } else { &format };
                let url = json!(format!("data:image/{kind};base64,{base64}"));
                let url = serde_json::value::to_raw_value(&url).expect("a string can be written");
                self.pictures.take(&url, out)?;
            }
            _ => self.pictures.take(result, out)?,
        }
        // A picture that came before is no second event.
        if out.len() > before
            && let Some(Value::Object(mut item)) = kept_object(item)
        {
            item.remove("result");
            self.keep(Value::Object(item), out)?;
        }
        Ok(())
    }

    /// Tells of a tool that the server runs.
    fn tell(&mut self, class: &str, item: &RawValue, out: &mut VecDeque<ChatEvent>) {
        let Ok(found) = members(item.get(), TOLD) else {
            return;
        };
        let mut data = Map::new();
        for (name, value) in TOLD.into_iter().zip(found) {
            let short = value.filter(|value| value.get().len() <= MAX_TOLD_BYTES);
            // Objects and lists below a depth that all readers take.
            let wrapped = short.and_then(|value| {
                let object = format!("{{\"it\":{}}}", value.get());
                let object: Box<RawValue> = serde_json::from_str(&object).ok()?;
                kept_object(&object)?.get_mut("it").map(Value::take)
            });
            if let Some(value) = wrapped {
                data.insert(name.into(), value);
            }
        }
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if (1..=64).contains(&class.len()) && class.bytes().all(is_plain) {
            out.push_back(ChatEvent::custom(class, Value::Object(data)));
        } else {
            self.odd.note("item.type");
        }
    }

    /// Tells the sources that a search of the server found.
    fn found(
        &mut self,
        item: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let [action, results] = members(item.get(), ["action", "results"]).unwrap_or_default();
        let pages = action.and_then(|action| members(action.get(), ["sources"]).ok()?[0]);
        if let Some(pages) = pages {
            each_element(pages, |page| {
                self.sources.page(page, out);
                Ok(())
            })?;
        }
        if let Some(results) = results {
            each_element(results, |file| {
                self.sources.file(file, out);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Keeps an item that the server must be handed back as it is.
    fn keep_item(
        &mut self,
        item: &RawValue,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if let Some(item) = kept_object(item) {
            return self.keep(item, out);
        }
        self.odd.note("item");
        Ok(())
    }

    fn keep(&mut self, item: Value, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        self.count_kept(crate::chat::json_bytes(&item))?;
        if self.calls.is_empty() {
            out.push_back(turn_state(vec![item]));
        } else {
            self.held.push(item);
        }
        Ok(())
    }
}

/// The types of calls that clients run, the last two unless the server does.
const RUN_BY_CLIENTS: [&str; 7] = [
    "mcp_approval_request",
    "custom_tool_call",
    "computer_call",
    "local_shell_call",
    "apply_patch_call",
    "shell_call",
    "tool_search_call",
];

/// Returns true if an item waits for an output of the client, which this library has no form for.
///
/// Calls that a client runs have an id that the output names. Those that the server runs have none, but for shells
/// in its containers and for its own search of tools.
fn waits_for_output(class: &str, item: &RawValue) -> bool {
    let [call_id, execution, environment] =
        members(item.get(), ["call_id", "execution", "environment"]).unwrap_or_default();
    let is_word =
        |value: Option<&RawValue>, word: &str| value.and_then(string).as_deref() == Some(word);
    match class {
        "shell_call" => {
            let kind = environment.and_then(|it| members(it.get(), ["type"]).ok()?[0]);
            !is_word(kind, "container_reference")
        }
        "tool_search_call" => !is_word(execution, "server"),
        class if RUN_BY_CLIENTS.contains(&class) => true,
        "function_call"
        | "web_search_call"
        | "file_search_call"
        | "code_interpreter_call"
        | "image_generation_call"
        | "mcp_call" => false,
        unknown => unknown.ends_with("_call") && call_id.is_some_and(is_truthy),
    }
}
