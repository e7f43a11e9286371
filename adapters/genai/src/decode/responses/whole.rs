//! The items of a response, at their beginning and at their end.

use std::{borrow::Cow, collections::VecDeque};

use serde_json::{Value, json};
use unbroken::chat::{ChatEvent, ProviderError};

use super::{ResponsesDecoder, items::ItemText};
use crate::{
    decode::{
        json::{is_truthy, member, name, text},
        pictures::refuse_medium,
        state_event,
    },
    failure::{self, not_passed_on},
    turn::CallPiece,
};

impl ResponsesDecoder {
    /// Takes the beginning of an item.
    pub(super) fn item_added(
        &mut self,
        index: u64,
        item: &Value,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let id = name(item.get("id"));
        let key = self.items.begin(index, &id);
        self.check_items()?;
        if text(item, "/type") == Some("function_call") {
            let named = named(item, id);
            let tool = name(item.get("name"));
            self.call_piece(key, &named, &tool, item.get("arguments"), out)?;
        }
        Ok(())
    }

    /// Takes a whole item.
    pub(super) fn item_done(
        &mut self,
        key: u64,
        item: &Value,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let id = name(item.get("id"));
        if !self.items.finish(key, &id) {
            return Ok(());
        }
        self.check_items()?;
        match text(item, "/type").unwrap_or_default() {
            "message" => self.content(key, item.get("content"), out),
            "reasoning" => {
                self.texts((key, ItemText::Summary), item.get("summary"), out)?;
                self.texts((key, ItemText::Reasoning), item.get("content"), out)?;
                if let Some(data) = text(item, "/encrypted_content").filter(|it| !it.is_empty()) {
                    self.turn.hold(data.len())?;
                    out.push_back(state_event(self.state_name, json!({"signature": data})));
                }
                Ok(())
            }
            "function_call" => {
                let (named, tool) = (named(item, id), name(item.get("name")));
                // Named alone: the arguments may have come.
                self.call_piece(key, &named, &tool, None, out)?;
                if let Some(arguments) = member(item, "arguments") {
                    self.call_arguments(key, arguments, out)?;
                }
                if text(item, "/status") != Some("incomplete") {
                    self.open_calls.remove(&key);
                }
                Ok(())
            }
            "image_generation_call" => self.picture(item, out),
            class @ ("web_search_call"
            | "file_search_call"
            | "code_interpreter_call"
            | "mcp_call"
            | "mcp_list_tools"
            | "compaction") => {
                self.odd.note(class);
                Ok(())
            }
            class if class.ends_with("_call") || class == "mcp_approval_request" => {
                // It waits for an output of the client, which has no form here.
                Err(failure::unknown_part(class))
            }
            class => {
                self.odd
                    .note(failure::plain_name(class).unwrap_or("item.type"));
                Ok(())
            }
        }
    }

    /// Takes a piece of a call's arguments, or its names.
    pub(super) fn call_piece(
        &mut self,
        key: u64,
        named: &str,
        tool: &str,
        piece: Option<&Value>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let arguments = arguments(piece.unwrap_or(&Value::Null));
        let piece = CallPiece {
            index: Some(key.into()),
            named,
            tool,
            arguments: &arguments,
            frame: 0,
            is_alone: true,
        };
        self.open_calls.insert(key);
        self.turn.piece_of_call(&piece, out)
    }

    /// Takes the whole arguments of a call.
    pub(super) fn call_arguments(
        &mut self,
        key: u64,
        whole: &Value,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        self.turn.finish_call(key.into(), &arguments(whole), out)
    }

    /// Takes the content of a whole message.
    fn content(
        &mut self,
        key: u64,
        content: Option<&Value>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let Some(Value::Array(parts)) = content else {
            self.odd.note("content");
            return Ok(());
        };
        for (index, part) in (0..).zip(parts.iter().filter(|it| !it.is_null())) {
            let said = member(part, "text").or_else(|| member(part, "refusal"));
            if said.is_none() {
                refuse_medium(text(part, "/type").unwrap_or_default())?;
                self.odd.note("content");
            }
            self.rest((key, ItemText::Text, index), said, out)?;
            let Some(Value::Array(annotations)) = part.get("annotations") else {
                continue;
            };
            let told = match self.items.part(key, ItemText::Text) {
                Some(part) if part.index == index => part.cited,
                Some(part) if part.index > index => u64::MAX,
                _ => 0,
            };
            for (at, annotation) in (0..).zip(annotations) {
                if at >= told {
                    self.annotation(key, index, annotation, out);
                }
            }
        }
        Ok(())
    }

    /// Takes the texts of whole reasoning.
    fn texts(
        &mut self,
        (key, kind): (u64, ItemText),
        texts: Option<&Value>,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match texts {
            Some(Value::Array(texts)) => {
                for (index, part) in (0..).zip(texts) {
                    self.rest((key, kind, index), part.get("text"), out)?;
                }
            }
            None | Some(Value::Null) => {}
            Some(_) => self.odd.note("reasoning"),
        }
        Ok(())
    }

    /// Takes a picture that the model made.
    fn picture(
        &mut self,
        item: &Value,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let Some(result) = member(item, "result").filter(|it| is_truthy(it)) else {
            // It failed, and the model says so.
            self.odd.note("image_generation_call");
            return Ok(());
        };
        let Some(base64) = result.as_str() else {
            return Err(not_passed_on("a picture", "its `result` is no text"));
        };
        let format = text(item, "/output_format");
        let format = format.filter(|it| it.bytes().all(|byte| byte.is_ascii_lowercase()));
        match format {
            Some(format) if !base64.contains([':', ',']) => {
                let kind = if format == "svg" { "svg+xml" } else { format };
                let url = format!("data:image/{kind};base64,{base64}");
                self.pictures.take(&Value::from(url), out)
            }
            _ => self.pictures.take(result, out),
        }
    }
}

fn named(item: &Value, id: String) -> String {
    let named = name(item.get("call_id"));
    if named.is_empty() { id } else { named }
}

// Some servers send the object itself.
fn arguments(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        whole => Cow::Owned(whole.to_string()),
    }
}
