use std::{collections::VecDeque, mem};

use serde_json::{Map, Value, json};
use unbroken::chat::{ChatEvent, Citation, FinishReason, ProviderError, Usage};

use super::{
    dropped_kinds::DroppedKinds,
    finish_reason, is_failure,
    json::{FrameReader, count, text},
    reported, state_event,
};
use crate::{failure, frames::ServerFrame, turn::TurnSoFar};

pub(crate) const PROVIDER: &str = "anthropic";

/// A decoder of Anthropic's Messages.
#[derive(Debug)]
pub(crate) struct MessagesDecoder {
    pub(super) turn: TurnSoFar,
    pub(super) done: bool,
    reader: FrameReader,
    odd: DroppedKinds,
    block: Block,
    has_open_call: bool,
    cited: usize,
}

#[derive(Debug, Default)]
enum Block {
    #[default]
    None,
    Text,
    Thinking {
        signature: String,
    },
    Tool {
        // What stands in the block's beginning counts if no pieces follow.
        input: Value,
    },
    /// A block that is kept as it is, such as a search that the server made.
    Kept {
        block: Map<String, Value>,
        input: String,
    },
}

impl MessagesDecoder {
    pub(super) fn new(turn: TurnSoFar) -> Self {
        Self {
            turn,
            done: false,
            reader: FrameReader::default(),
            odd: DroppedKinds::default(),
            block: Block::None,
            has_open_call: false,
            cited: 0,
        }
    }

    pub(super) fn frame(
        &mut self,
        frame: &ServerFrame,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        // Anthropic's SDKs go by the name of the event.
        let name = frame.name.as_deref().unwrap_or_default();
        if name == "ping" || (name != "error" && reported::is_ping(&frame.data)) {
            return Ok(());
        }
        if name == "error" {
            return Err(failure::reported(&frame.data));
        }
        let mut data = self.reader.read(&frame.data)?;
        match text(&data, "/type").unwrap_or(name) {
            "message_start" => {
                self.turn.model = text(&data, "/message/model").map(str::to_owned);
                self.usage(data.pointer("/message/usage"));
            }
            "content_block_start" => self.start(data["content_block"].take(), out)?,
            "content_block_delta" => self.delta(&data["delta"], out)?,
            "content_block_stop" => self.stop(out)?,
            "message_delta" => {
                if let Some(word) = text(&data, "/delta/stop_reason") {
                    if is_failure(word) {
                        return Err(failure::reported("null"));
                    }
                    self.turn.stop(finish_reason(word));
                }
                self.usage(data.get("usage"));
            }
            "message_stop" => {
                self.leave(out)?;
                let is_whole = self
                    .turn
                    .finish
                    .as_ref()
                    .is_some_and(FinishReason::is_whole);
                if self.has_open_call && is_whole {
                    return Err(ProviderError::cut());
                }
                self.done = true;
            }
            "error" => return Err(failure::reported(&frame.data)),
            other => {
                // Proxies report errors in forms of their own.
                if let Some(error) = reported::reported(&data, false) {
                    return Err(error);
                }
                let kind = failure::plain_name(other);
                self.odd.note(kind.unwrap_or("an event"));
            }
        }
        Ok(())
    }

    // Leaves a block without its end. A call is not whole then.
    fn leave(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        if matches!(self.block, Block::Tool { .. }) {
            self.has_open_call = true;
            self.block = Block::None;
        }
        self.stop(out)
    }

    fn start(&mut self, block: Value, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        let Value::Object(mut block) = block else {
            return Err(failure::unreadable("a block without its beginning"));
        };
        self.leave(out)?;
        let mut word = |name: &str| match block.get_mut(name).map(Value::take) {
            Some(Value::String(word)) => word,
            _ => String::new(),
        };
        match &*word("type") {
            "text" => {
                self.block = Block::Text;
                let said = word("text");
                out.extend((!said.is_empty()).then(|| ChatEvent::text(said)));
            }
            "thinking" => {
                let thought = word("thinking");
                out.extend((!thought.is_empty()).then(|| ChatEvent::thinking(thought)));
                let signature = word("signature");
                self.turn.hold(signature.len())?;
                self.block = Block::Thinking { signature };
            }
            "redacted_thinking" => {
                let data = word("data");
                self.turn.hold(data.len())?;
                let kept = json!({"type": "redacted_thinking", "data": data});
                out.push_back(state_event(PROVIDER, json!({"block": kept})));
                self.block = Block::None;
            }
            "tool_use" => {
                let (id, tool) = (word("id"), word("name"));
                if tool.is_empty() {
                    return Err(failure::unreadable("a call without the name of its tool"));
                }
                out.push_back(self.turn.begin_call(&id, tool)?);
                let input = block.remove("input").unwrap_or_default();
                self.block = Block::Tool { input };
            }
            "" => return Err(failure::unreadable("a block without its type")),
            kind => {
                block.insert("type".into(), kind.into());
                self.block = Block::Kept {
                    block,
                    input: String::new(),
                };
            }
        }
        Ok(())
    }

    fn delta(&mut self, delta: &Value, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        let piece = |name: &str| delta.get(name).and_then(Value::as_str).unwrap_or_default();
        match (&mut self.block, piece("type")) {
            (Block::Text | Block::None, "text_delta") => {
                let said = piece("text");
                out.extend((!said.is_empty()).then(|| ChatEvent::text(said)));
            }
            (Block::Text | Block::None, "citations_delta") => {
                self.cited += 1;
                let source = citation(self.cited, &delta["citation"]);
                out.push_back(source.into());
            }
            (Block::Thinking { .. }, "thinking_delta") => {
                let thought = piece("thinking");
                out.extend((!thought.is_empty()).then(|| ChatEvent::thinking(thought)));
            }
            (Block::Thinking { signature }, "signature_delta") => {
                let added = piece("signature");
                self.turn.hold(added.len())?;
                signature.push_str(added);
            }
            (Block::Tool { .. }, "input_json_delta") => {
                out.extend(self.turn.add_to_last_call(piece("partial_json"))?);
            }
            (Block::Kept { input, .. }, "input_json_delta") => {
                let added = piece("partial_json");
                self.turn.hold(added.len())?;
                input.push_str(added);
            }
            (_, kind) => return Err(failure::unknown_part(kind)),
        }
        Ok(())
    }

    fn stop(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        match mem::take(&mut self.block) {
            Block::None | Block::Text => {}
            Block::Thinking { signature } => {
                if !signature.is_empty() {
                    out.push_back(state_event(PROVIDER, json!({"signature": signature})));
                }
            }
            Block::Tool { input } => {
                if !self.turn.last_call_has_arguments() {
                    self.turn.set_last_arguments(input);
                }
            }
            Block::Kept { mut block, input } => {
                if !input.is_empty() {
                    let input = serde_json::from_str(&input)
                        .map_err(|_| failure::unreadable("input that isn't JSON"))?;
                    block.insert("input".into(), input);
                }
                let kept = Value::Object(block);
                self.turn.hold(kept.to_string().len())?;
                out.push_back(state_event(PROVIDER, json!({"block": kept})));
            }
        }
        Ok(())
    }

    // Later counts replace earlier ones: those of `message_delta` are of the whole message.
    fn usage(&mut self, counts: Option<&Value>) {
        let Some(counts) = counts.filter(|counts| counts.is_object()) else {
            return;
        };
        let usage = self.turn.usage.get_or_insert_default();
        let read = count(counts, "cache_read_input_tokens");
        let written = count(counts, "cache_creation_input_tokens");
        if let Some(input) = count(counts, "input_tokens") {
            // Without those of the cache, unlike other vendors' counts.
            let all = input.saturating_add(read.unwrap_or(0));
            usage.input_tokens = all.saturating_add(written.unwrap_or(0));
        }
        if let Some(output) = count(counts, "output_tokens") {
            usage.output_tokens = output;
        }
        if read.is_some() {
            usage.cached_input_tokens = read;
        }
        let thinking = counts.pointer("/output_tokens_details/thinking_tokens");
        if let Some(thinking) = thinking.and_then(Value::as_u64) {
            usage.reasoning_tokens = Some(thinking);
        }
        keep_extra(usage, "cacheWriteInputTokens", written);
    }
}

fn keep_extra(usage: &mut Usage, name: &str, count: Option<u64>) {
    if let Some(count) = count.filter(|count| *count > 0) {
        usage.extra.insert(name.into(), count.into());
    }
}

fn citation(number: usize, cited: &Value) -> Citation {
    let word = |name: &str| cited.get(name).and_then(Value::as_str);
    // The same source has the same name in every turn of an answer.
    let mut source = match word("url").or_else(|| word("source")) {
        Some(url) => Citation::link(url, url),
        None => Citation::document(match count(cited, "document_index") {
            Some(document) => format!("document-{document}"),
            None => format!("source-{number}"),
        }),
    };
    if let Some(title) = word("title").or_else(|| word("document_title")) {
        source = source.title(title);
    }
    if let Some(quote) = word("cited_text") {
        source = source.quote(quote);
    }
    source
}
