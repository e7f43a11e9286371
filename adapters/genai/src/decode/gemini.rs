use std::collections::VecDeque;

use serde_json::{Value, json};
use unbroken::chat::{ChatEvent, Media, ProviderError, ProviderState, Usage};

use super::{
    finish_reason, is_failure,
    json::{FrameReader, count, text},
    reported, state_event,
};
use crate::{failure, frames::ServerFrame, turn::TurnSoFar};

pub(crate) const PROVIDER: &str = "gemini";

/// A decoder of Gemini's `streamGenerateContent`.
#[derive(Debug)]
pub(crate) struct GeminiDecoder {
    pub(super) turn: TurnSoFar,
    pub(super) done: bool,
    reader: FrameReader,
}

impl GeminiDecoder {
    pub(super) fn new(turn: TurnSoFar) -> Self {
        Self {
            turn,
            done: false,
            reader: FrameReader::default(),
        }
    }

    pub(super) fn frame(
        &mut self,
        frame: &ServerFrame,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let is_error = frame.name.as_deref() == Some("error");
        if reported::is_ping(&frame.data) && !is_error {
            return Ok(());
        }
        if is_error {
            return Err(failure::reported(&frame.data));
        }
        let mut data = self.reader.read(&frame.data)?;
        let has_candidate = data.pointer("/candidates/0").is_some();
        if let Some(error) = reported::reported(&data, has_candidate) {
            return Err(error);
        }
        if !data.is_object() && !data.is_null() {
            return Err(failure::unreadable("a frame that is no object"));
        }
        if let Some(model) = text(&data, "/modelVersion") {
            self.turn.model = Some(model.to_owned());
        }
        if let Some(counts) = data.get("usageMetadata").filter(|it| it.is_object()) {
            self.turn.usage = Some(usage(counts));
        }
        if let Some(reason) = text(&data, "/promptFeedback/blockReason")
            && reason != "BLOCK_REASON_UNSPECIFIED"
        {
            return Err(failure::blocked(reason));
        }
        // The request asks for one candidate.
        let Some(candidate) = data.pointer_mut("/candidates/0") else {
            return Ok(());
        };
        if let Some(Value::Array(parts)) = candidate.pointer_mut("/content/parts").map(Value::take)
        {
            for part in parts {
                self.part(part, out)?;
            }
        }
        match text(candidate, "/finishReason") {
            None | Some("FINISH_REASON_UNSPECIFIED" | "") => {}
            Some(word) if is_failure(word) => return Err(failure::reported("null")),
            Some(word) => {
                self.turn.stop(finish_reason(word));
                // genai reads no further.
                self.done = true;
            }
        }
        Ok(())
    }

    fn part(
        &mut self,
        mut part: Value,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        let signature = match part.get_mut("thoughtSignature").map(Value::take) {
            Some(Value::String(signature)) if !signature.is_empty() => Some(signature),
            _ => None,
        };
        if let Some(call) = part.get_mut("functionCall") {
            let tool = text(call, "/name").unwrap_or_default().to_owned();
            if tool.is_empty() {
                return Err(failure::unreadable("a call without the name of its tool"));
            }
            let named = text(call, "/id").unwrap_or_default();
            let id = self.turn.ids.next_of_gemini(named, &tool);
            let arguments = call.get_mut("args").map(Value::take).unwrap_or_default();
            let state = signature.map(|it| ProviderState::new(PROVIDER, signed(&it)));
            return self.turn.whole_call(id, tool, arguments, state);
        }
        self.turn.hold(signature.as_ref().map_or(0, String::len))?;
        if let Some(said) = text(&part, "/text") {
            let thought = part.get("thought").and_then(Value::as_bool) == Some(true);
            let event = match thought {
                _ if said.is_empty() => None,
                true => Some(ChatEvent::thinking(said)),
                false => Some(ChatEvent::text(said)),
            };
            // A signature stands before the text that it belongs to, and after the thought.
            let state = signature.map(|it| state_event(PROVIDER, signed(&it)));
            if thought {
                out.extend(event.into_iter().chain(state));
            } else {
                out.extend(state.into_iter().chain(event));
            }
            return Ok(());
        }
        if let Some(signature) = signature {
            out.push_back(state_event(PROVIDER, signed(&signature)));
        }
        if let Some(data) = part.get("inlineData") {
            let (kind, bytes) = (text(data, "/mimeType"), text(data, "/data"));
            let (Some(kind), Some(bytes)) = (kind, bytes) else {
                return Err(failure::unreadable("a picture without its data"));
            };
            out.push_back(Media::link(kind, format!("data:{kind};base64,{bytes}")).into());
            return Ok(());
        }
        if let Some(data) = part.get("fileData") {
            let (kind, url) = (text(data, "/mimeType"), text(data, "/fileUri"));
            let Some(url) = url else {
                return Err(failure::unreadable("a file without its address"));
            };
            let kind = kind.unwrap_or("application/octet-stream");
            out.push_back(Media::link(kind, url).into());
            return Ok(());
        }
        let known = [
            "thought",
            "thoughtSignature",
            "videoMetadata",
            "partMetadata",
        ];
        let rest = part.as_object().and_then(|part| {
            let mut names = part.keys().map(String::as_str);
            names.find(|name| !known.contains(name))
        });
        rest.map_or(Ok(()), |name| Err(failure::unknown_part(name)))
    }
}

fn signed(signature: &str) -> Value {
    json!({"thoughtSignature": signature})
}

// Reasons that only Gemini has, and that say that it withheld something.
fn usage(counts: &Value) -> Usage {
    let of = |name: &str| count(counts, name);
    let thoughts = of("thoughtsTokenCount");
    let sum = |a: Option<u64>, b: Option<u64>| a.unwrap_or(0).saturating_add(b.unwrap_or(0));
    // Thoughts aren't among the tokens of candidates, nor what tools of the server read in the prompt.
    let mut usage = Usage::new(
        sum(of("promptTokenCount"), of("toolUsePromptTokenCount")),
        sum(of("candidatesTokenCount"), thoughts),
    );
    usage.cached_input_tokens = of("cachedContentTokenCount");
    usage.reasoning_tokens = thoughts;
    usage
}
