use std::collections::HashMap;

use serde_json::Value;

use super::{
    content::{InputContent, checked},
    input::{InputItem, ReasoningText},
    item::{OfResult, PictureFields, turn_of},
};
use crate::{
    chat::{Content, Media, Message, Part, ProviderState, Role, ToolCall},
    dialect::{
        media::{at, of_base64, with_detail},
        result_parts::together,
        sealed::SealedState,
    },
};

/// The items of a conversation, put together into messages.
///
/// A message of the assistant is a turn of the model: its reasoning, texts, pictures and calls. The ids
/// of our own items tell the turns apart. Where a client sends none, a turn ends with the first output.
#[derive(Debug, Default)]
pub(super) struct InputHistory {
    messages: Vec<Message>,
    turn: Option<OpenTurn>,
    /// The calls of the messages that have no state, by their ids, in order: a message, and a call of it.
    without_state: HashMap<String, Vec<(usize, usize)>>,
}

#[derive(Debug, Default)]
struct OpenTurn {
    /// The response and the number of the turn in it.
    name: Option<(String, u64)>,
    said: Content,
    /// Calls that ran on the server, with their outputs.
    server: Vec<(ToolCall, Message)>,
    /// Calls of the client's functions.
    client: Vec<ToolCall>,
    outputs: Vec<Message>,
    /// The media in results of calls that ran on the server.
    files: Vec<(OfResult, Media)>,
    /// The state of calls, by their ids.
    states: HashMap<String, ProviderState>,
}

impl InputHistory {
    /// Adds an item of the type `kind`.
    pub(super) fn add(&mut self, item: InputItem, kind: &str) -> Result<(), String> {
        match item {
            InputItem::Message { id, role, content } => {
                let role = role.role();
                if role == Role::Assistant {
                    let parts = content.into_parts("content")?;
                    let turn = self.turn(id.as_deref());
                    for (part, of_result) in parts {
                        turn.say(part, of_result);
                    }
                } else {
                    let content = content.into_content("content")?;
                    self.end_turn();
                    self.messages.push(Message::new(role, content));
                }
            }
            InputItem::FunctionCall {
                id,
                call_id,
                name,
                arguments,
            } => {
                let call = ToolCall::from_text(call_id, name, &arguments);
                self.turn(id.as_deref()).client.push(call);
            }
            InputItem::FunctionCallOutput { call_id, output } => self.output(call_id, output)?,
            InputItem::McpCall {
                id,
                name,
                arguments,
                output,
                error,
            } => {
                let outcome = match (output, error) {
                    (Some(output), _) => Message::tool(&*id, output),
                    (None, None) => Message::tool(&*id, ""),
                    (None, Some(Value::String(error))) => Message::tool_failed(&*id, &error),
                    (None, Some(error)) => Message::tool_failed(&*id, &error.to_string()),
                };
                let call = ToolCall::from_text(&*id, name, &arguments);
                self.turn(Some(&id)).server.push((call, outcome));
            }
            InputItem::Reasoning {
                id,
                summary,
                content,
                encrypted_content,
            } => {
                let text = text(content).or_else(|| text(summary)).unwrap_or_default();
                let sealed = encrypted_content.map(|text| {
                    SealedState::read(&text)
                        .ok_or("`encrypted_content` is not of this server; leave it out")
                });
                self.turn(id.as_deref()).reason(&text, sealed.transpose()?);
            }
            InputItem::ImageGenerationCall {
                id,
                result,
                output_format,
                mut own,
            } => {
                let media = checked(picture(result, output_format.as_deref(), &mut own)?)?;
                self.turn(id.as_deref()).say(media.into(), own.of_result);
            }
            InputItem::Unknown => {
                return Err(format!(
                    "items of the type `{}` can't be given to the model here",
                    kind.escape_debug()
                ));
            }
        }
        Ok(())
    }

    pub(super) fn into_messages(mut self) -> Vec<Message> {
        self.end_turn();
        self.messages
    }

    fn output(&mut self, call_id: String, output: InputContent) -> Result<(), String> {
        let message = Message::tool(call_id, output.into_content("output")?);
        match &mut self.turn {
            Some(turn) => turn.outputs.push(message),
            None => self.messages.push(message),
        }
        Ok(())
    }

    /// Returns the turn that an item of this id belongs to.
    fn turn(&mut self, id: Option<&str>) -> &mut OpenTurn {
        let name = id.and_then(turn_of);
        let is_open = self
            .turn
            .as_ref()
            .is_some_and(|turn| match (&turn.name, &name) {
                (Some(own), Some(name)) => own == name,
                _ => turn.server.is_empty() && turn.outputs.is_empty(),
            });
        if !is_open {
            self.end_turn();
        }
        let turn = self.turn.get_or_insert_default();
        turn.name = turn.name.take().or(name);
        turn
    }

    fn end_turn(&mut self) {
        let Some(mut turn) = self.turn.take() else {
            return;
        };
        turn.put_files();
        let mut states = turn.states;
        let mut with_state = |mut call: ToolCall| {
            call.provider_state = states.remove(&call.id);
            call
        };
        let (server, results): (Vec<_>, Vec<_>) = turn.server.into_iter().unzip();
        let server: Vec<_> = server.into_iter().map(&mut with_state).collect();
        let client: Vec<_> = turn.client.into_iter().map(&mut with_state).collect();
        // State may come after the turn of its call.
        for (id, state) in states {
            let last = self.without_state.get_mut(&id).and_then(Vec::pop);
            if let Some((message, call)) = last {
                self.messages[message].tool_calls[call].provider_state = Some(state);
            }
        }
        let mut said = turn.said;
        // The outputs of the client follow the calls that they answer, and no other's.
        if !server.is_empty() {
            let said = std::mem::take(&mut said);
            self.ask(said, server);
            self.messages.extend(results);
        }
        if !(said.is_empty() && client.is_empty()) {
            self.ask(said, client);
        }
        self.messages.extend(turn.outputs);
    }

    /// Adds a message of the assistant.
    fn ask(&mut self, said: Content, calls: Vec<ToolCall>) {
        for (at, call) in calls.iter().enumerate() {
            if call.provider_state.is_none() {
                let of_id = self.without_state.entry(call.id.clone());
                of_id.or_default().push((self.messages.len(), at));
            }
        }
        self.messages
            .push(Message::assistant(said).tool_calls(calls));
    }
}

impl OpenTurn {
    fn say(&mut self, part: Part, of_result: Option<OfResult>) {
        let is_of = |of: &OfResult| self.server.iter().any(|(call, _)| call.id == of.item_id);
        match (part, of_result.filter(is_of)) {
            (Part::Text { text }, _) if text.is_empty() => {}
            (Part::Media(media), Some(of)) => self.files.push((of, media)),
            (part, _) => self.said.push(part),
        }
    }

    /// Puts the media in results into them.
    fn put_files(&mut self) {
        let mut files: HashMap<_, Vec<_>> = HashMap::new();
        for (of, media) in self.files.drain(..) {
            files.entry(of.item_id).or_default().push((of.at, media));
        }
        for (call, outcome) in &mut self.server {
            if let Some(files) = files.remove(&call.id) {
                outcome.content = together(&outcome.text(), files);
            }
        }
    }

    fn reason(&mut self, text: &str, sealed: Option<SealedState>) {
        match sealed {
            Some(SealedState {
                call: Some(call),
                state,
            }) => {
                // Of two states of one call the first counts.
                self.states.entry(call).or_insert(state);
            }
            sealed => {
                self.said.push_reasoning(text);
                if let Some(sealed) = sealed {
                    self.said.push_provider_state(sealed.state);
                }
            }
        }
    }
}

fn text(pieces: Option<Vec<ReasoningText>>) -> Option<String> {
    let pieces: Vec<_> = pieces?.into_iter().map(|piece| piece.text).collect();
    (!pieces.is_empty()).then(|| pieces.join("\n"))
}

/// Returns a picture that the model made, or that is in the result of a tool.
fn picture(
    result: Option<String>,
    format: Option<&str>,
    own: &mut PictureFields,
) -> Result<Media, String> {
    let (name, named) = (own.name.take(), own.media_type.as_deref());
    let media = match (result, own.url.take()) {
        (Some(data), _) => {
            let format = format.filter(|format| !format.is_empty());
            let of_data = || SIGNATURES.iter().find(|(begin, _)| data.starts_with(begin));
            let format = format.or_else(|| of_data().map(|(_, format)| *format));
            let of_format = format!("image/{}", format.unwrap_or("png"));
            of_base64(&data, named.unwrap_or(&of_format), name)
        }
        (None, Some(url)) => at(url, named, name, "image/*"),
        (None, None) => return Err("the picture has no `result`".to_owned()),
    };
    with_detail(media, own.detail.as_deref())
}

/// The first characters of pictures in base64.
const SIGNATURES: &[(&str, &str)] = &[
    ("iVBORw", "png"),
    ("/9j/", "jpeg"),
    ("UklGR", "webp"),
    ("R0lGOD", "gif"),
];
