use std::collections::VecDeque;

use serde_json::Value;
use unbroken::chat::{ChatEvent, ProviderError};

use crate::decode::{
    dropped_kinds::DroppedKinds,
    json::text,
    pictures::{FoundPictures, refuse_medium},
};

/// The text, the thinking and the pictures of one answer, from their pieces.
///
/// A piece is a string; or, from some servers, a list of parts with a type. A part that is a medium and no
/// picture is an error; other parts without text are dropped.
#[derive(Debug, Default)]
pub(super) struct SaidParts {
    pub(super) pictures: FoundPictures,
}

impl SaidParts {
    /// Takes a piece of the text, or of the thinking.
    ///
    /// # Errors
    ///
    /// If it has a medium that can't be passed on.
    pub(super) fn piece(
        &mut self,
        piece: &Value,
        thinks: bool,
        odd: &mut DroppedKinds,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match piece {
            Value::String(said) => say(said, thinks, out),
            // JavaScript appends it so.
            Value::Number(number) => say(&number.to_string(), thinks, out),
            Value::Array(parts) => {
                for part in parts.iter().filter(|part| !part.is_null()) {
                    self.part(part, thinks, odd, out)?;
                }
            }
            Value::Object(_) => self.part(piece, thinks, odd, out)?,
            Value::Null => {}
            Value::Bool(_) => odd.note("content"),
        }
        Ok(())
    }

    // Mistral's thinking is a part with a list of parts of text.
    fn part(
        &mut self,
        part: &Value,
        thinks: bool,
        odd: &mut DroppedKinds,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        if let Value::String(said) = part {
            say(said, thinks, out);
            return Ok(());
        }
        let member = |name: &str| part.get(name).filter(|it| !it.is_null());
        let class = text(part, "/type").unwrap_or_default();
        if member("image_url").is_some() || class == "image_url" {
            return self.pictures.take(part, out);
        }
        let thinks = thinks || matches!(class, "thinking" | "reasoning");
        let thought = member("thinking").filter(|_| thinks);
        match thought.or(member("text")) {
            Some(Value::String(said)) => say(said, thinks, out),
            Some(Value::Array(parts)) => {
                for part in parts {
                    match part.as_str().or_else(|| text(part, "/text")) {
                        Some(said) => say(said, thinks, out),
                        None => dropped(text(part, "/type").unwrap_or_default(), odd)?,
                    }
                }
            }
            _ => dropped(class, odd)?,
        }
        Ok(())
    }
}

fn dropped(class: &str, odd: &mut DroppedKinds) -> Result<(), ProviderError> {
    refuse_medium(class)?;
    odd.note("content");
    Ok(())
}

fn say(said: &str, thinks: bool, out: &mut VecDeque<ChatEvent>) {
    if said.is_empty() {
        return;
    }
    out.push_back(if thinks {
        ChatEvent::thinking(said)
    } else {
        ChatEvent::text(said)
    });
}
