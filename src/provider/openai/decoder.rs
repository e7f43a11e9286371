use std::collections::VecDeque;

use super::turn::OpenAiTurn;
use crate::{
    chat::{ChatEvent, ProviderError},
    provider::http::{CallIds, Decode, Lines, too_long},
};

/// Decodes a body of server-sent events, each with a chunk of the answer.
///
/// The rules are those of the [HTML
/// standard](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation),
/// with a limit: an event above it is refused before it is whole.
#[derive(Debug)]
pub(super) struct OpenAiDecoder {
    lines: Lines,
    event: SseEvent,
    turn: OpenAiTurn,
}

// The event that is being read.
#[derive(Debug)]
struct SseEvent {
    data: Vec<u8>,
    max: usize,
    has_data: bool,
    first_line: bool,
}

impl OpenAiDecoder {
    pub(super) fn new(ids: CallIds, max_bytes: usize) -> Self {
        Self {
            lines: Lines::new(max_bytes),
            event: SseEvent {
                data: Vec::new(),
                max: max_bytes,
                has_data: false,
                first_line: true,
            },
            turn: OpenAiTurn::new(ids, max_bytes),
        }
    }
}

impl Decode for OpenAiDecoder {
    fn push(&mut self, bytes: &[u8], out: &mut VecDeque<ChatEvent>) -> Result<bool, ProviderError> {
        let mut received = false;
        let (event, turn) = (&mut self.event, &mut self.turn);
        let pushed = self.lines.push(bytes, |line| {
            if event.take(line)? && !turn.is_done() {
                received = true;
                turn.take(&event.data, out)?;
            }
            Ok(())
        });
        match pushed {
            Err(error) if !self.turn.is_done() => Err(error),
            _ => Ok(received), // bytes after the end are ignored
        }
    }

    fn is_done(&self) -> bool {
        self.turn.is_done()
    }

    // An event without an empty line after it is not whole, and is ignored.
    fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        self.turn.end(out)
    }
}

impl SseEvent {
    /// Takes a line. Returns true if it completes an event, whose data is then in `data`.
    fn take(&mut self, mut line: &[u8]) -> Result<bool, ProviderError> {
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(std::mem::take(&mut self.has_data));
        }
        let Some(value) = data(line) else {
            return Ok(false);
        };
        if self.has_data {
            self.data.push(b'\n');
        } else {
            self.data.clear();
        }
        self.has_data = true;
        if self.data.len() + value.len() > self.max {
            return Err(too_long());
        }
        self.data.extend_from_slice(value);
        Ok(false)
    }
}

// Returns the value of a `data` line. Other fields and comments are ignored.
fn data(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::http::fuzz::fuzz;

    fn events(text: &str, max: usize) -> Result<Vec<String>, ProviderError> {
        let mut event = OpenAiDecoder::new(CallIds::after(&[]), max).event;
        let mut found = Vec::new();
        Lines::new(usize::MAX).push(text.as_bytes(), |line| {
            if event.take(line)? {
                found.push(String::from_utf8(event.data.clone()).unwrap());
            }
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn events_are_read_by_the_rules_of_the_standard() {
        let text = concat!(
            "\u{feff}data: a\n",
            "data:b\r\n",
            ": a comment\n",
            "data\n",
            "data:  c\r\r",
            "event: other\nid: 7\ndatabase: x\n\n",
            "data:\n\n",
            "\u{feff}data: no BOM here\n\n",
            "data: not whole\n",
        );
        assert_eq!(events(text, 100).unwrap(), ["a\nb\n\n c", ""]);
    }

    #[test]
    fn events_of_any_number_pass_if_each_is_short() {
        let event = "data: 12345\ndata: 789\n\n";
        assert!(events(&event.repeat(100), 9).is_ok());
        assert!(events(event, 8).is_err());
    }

    #[test]
    fn any_bytes_give_an_answer_or_an_error() {
        const SEEDS: [&[u8]; 6] = [
            include_bytes!("../../../tests/providers/recorded/openai-text.sse"),
            include_bytes!("../../../tests/providers/recorded/openai-tools.sse"),
            include_bytes!("../../../tests/providers/recorded/llama-cpp.sse"),
            include_bytes!("../../../tests/providers/recorded/vllm.sse"),
            include_bytes!("../../../tests/providers/recorded/ollama-v1.sse"),
            include_bytes!("../../../tests/providers/recorded/odd.sse"),
        ];
        fuzz(&SEEDS, |max| {
            Box::new(OpenAiDecoder::new(CallIds::after(&[]), max))
        });
    }
}
