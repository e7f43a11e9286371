use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::{
    sse::{SseEvent, SseLine, StrayJson},
    turn::OpenAiTurn,
};
use crate::{
    chat::{ChatEvent, ProviderError, Usage},
    provider::http::{CallIds, Decode, Lines},
};

/// Decodes a body of server-sent events, each with a chunk of the answer.
///
/// The rules are those of the [HTML
/// standard](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation),
/// with three differences: an event above a limit is refused before it is whole; the last event counts
/// without an empty line after it, if its data is whole; and an object that is no value of a field is
/// read if it reports an error.
#[derive(Debug)]
pub(super) struct OpenAiDecoder {
    lines: Lines,
    event: SseEvent,
    stray: StrayJson,
    turn: OpenAiTurn,
}

impl OpenAiDecoder {
    /// Creates a decoder. `sound_format` is the one that the request asks for.
    pub(super) fn new(
        ids: CallIds,
        max_bytes: usize,
        think_tags: bool,
        sound_format: Option<String>,
    ) -> Self {
        Self {
            lines: Lines::new(max_bytes),
            event: SseEvent::new(max_bytes),
            stray: StrayJson::default(),
            turn: OpenAiTurn::new(ids, max_bytes, think_tags, sound_format),
        }
    }
}

impl Decode for OpenAiDecoder {
    fn push(&mut self, bytes: &[u8], out: &mut VecDeque<ChatEvent>) -> Result<bool, ProviderError> {
        let mut received = false;
        let (event, stray, turn) = (&mut self.event, &mut self.stray, &mut self.turn);
        let pushed = self.lines.push(bytes, |line| {
            if turn.is_done() {
                return Ok(()); // bytes after the end are ignored
            }
            match event.take(line)? {
                SseLine::Event => {
                    received = true;
                    let data = String::from_utf8_lossy(&event.data);
                    turn.take(&event.name, &data, out)
                }
                SseLine::Field => Ok(()),
                SseLine::Stray(line) => match stray.take(line, event.max) {
                    Some(json) => turn.take_stray(&String::from_utf8_lossy(&json)),
                    None => Ok(()),
                },
            }
        });
        match pushed {
            Err(_) if turn.is_done() => Ok(received),
            Err(error) => turn.fail(error).map(|()| received),
            Ok(()) => Ok(received),
        }
    }

    fn is_done(&self) -> bool {
        self.turn.is_done()
    }

    fn is_finished(&self) -> bool {
        self.turn.is_finished()
    }

    fn usage(&self) -> Option<&Usage> {
        self.turn.usage()
    }

    fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        let rest = self.lines.rest();
        if !self.turn.is_done() {
            self.last_event(&rest, out)?;
        }
        self.turn.end(out)
    }
}

impl OpenAiDecoder {
    // The connection may have been cut in the middle of it.
    fn last_event(
        &mut self,
        rest: &[u8],
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        match self.event.take(rest) {
            Ok(SseLine::Stray(line)) => {
                if let Some(json) = self.stray.take(line, self.event.max) {
                    let json = String::from_utf8_lossy(&json);
                    self.turn.take_stray(&json)?;
                }
            }
            Ok(SseLine::Field | SseLine::Event) => {}
            Err(error) => return self.turn.fail(error),
        }
        if !self.event.has_begun() {
            return Ok(());
        }
        let data = String::from_utf8_lossy(&self.event.data);
        let whole = data.trim() == "[DONE]"
            || self.event.name == "error"
            || serde_json::from_str::<&RawValue>(&data).is_ok();
        if whole {
            self.turn.take(&self.event.name, &data, out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::provider::http::fuzz::{fuzz, shapes};

    const SHAPES: &str = include_str!("../../../tests/providers/recorded/shapes.txt");

    fn verdict<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Value {
        let mut decoder = OpenAiDecoder::new(CallIds::after(&[]), 10_000, false, None);
        let mut events = VecDeque::new();
        let mut failed = false;
        for piece in pieces {
            failed = decoder.push(piece, &mut events).is_err();
            if failed || decoder.is_done() {
                break;
            }
        }
        failed = failed || decoder.end(&mut events).is_err();
        let events = events.iter();
        let events = events.map(|event| serde_json::from_slice(&event.to_json()).unwrap());
        shapes::verdict(events, failed)
    }

    #[test]
    fn every_shape_has_its_verdict_wherever_its_bytes_are_split() {
        for shape in shapes::shapes(SHAPES, shapes::ROLE) {
            for at in 0..=shape.bytes.len() {
                let (head, tail) = shape.bytes.split_at(at);
                assert_eq!(verdict([head, tail]), shape.verdict, "{}", shape.name);
            }
        }
    }

    #[test]
    fn a_shape_that_is_cut_at_any_byte_is_no_other_success() {
        let without_usage = |mut verdict: Value| {
            verdict.as_object_mut().unwrap().remove("usage");
            verdict
        };
        for shape in shapes::shapes(SHAPES, shapes::ROLE) {
            let whole = without_usage(shape.verdict);
            let (mut cut, mut ended) = (0, 0);
            for at in 0..shape.bytes.len() {
                let found = without_usage(verdict([&shape.bytes[..at]]));
                if found.get("error").is_some() {
                    cut += 1;
                } else {
                    ended += 1;
                    assert_eq!(found, whole, "{} cut at {at}", shape.name);
                }
            }
            assert!(cut > 10, "{}: {cut} {ended}", shape.name);
        }
    }

    #[test]
    fn any_bytes_give_an_answer_or_an_error() {
        const SEEDS: [&[u8]; 7] = [
            include_bytes!("../../../tests/providers/recorded/openai-text.sse"),
            include_bytes!("../../../tests/providers/recorded/openai-tools.sse"),
            include_bytes!("../../../tests/providers/recorded/llama-cpp.sse"),
            include_bytes!("../../../tests/providers/recorded/vllm.sse"),
            include_bytes!("../../../tests/providers/recorded/ollama-v1.sse"),
            include_bytes!("../../../tests/providers/recorded/odd.sse"),
            include_bytes!("../../../tests/providers/recorded/media.sse"),
        ];
        fuzz(&SEEDS, |max| {
            let format = (max % 5 == 0).then(|| "pcm16".to_owned());
            let ids = CallIds::after(&[]);
            Box::new(OpenAiDecoder::new(ids, max, max % 3 == 0, format))
        });
    }
}
