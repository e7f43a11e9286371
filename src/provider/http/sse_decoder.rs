use std::collections::VecDeque;

use serde_json::value::RawValue;

use super::{
    Decode, Lines,
    sse::{SseEvent, SseLine, StrayJson},
};
use crate::chat::{ChatEvent, ProviderError, Usage};

/// An answer of the server that comes as server-sent events. No I/O and no clock.
pub(crate) trait SseAnswer: Send + Sync {
    /// Takes the name and the data of one event.
    fn take(
        &mut self,
        name: &str,
        data: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError>;

    /// Takes an object that stands in the stream without being data of an event.
    fn take_stray(&mut self, json: &str) -> Result<(), ProviderError>;

    /// Returns the error, unless the answer is whole already and the error is none of its content.
    fn fail(&mut self, error: ProviderError) -> Result<(), ProviderError>;

    /// Returns true if nothing more is read.
    fn is_done(&self) -> bool;

    /// Returns true if the answer is whole, though its usage may follow.
    fn is_finished(&self) -> bool;

    /// Returns the usage that the server told so far.
    fn usage(&self) -> Option<Usage>;

    /// Ends the stream. Appends the events that are left.
    ///
    /// # Errors
    ///
    /// If the answer was cut.
    fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError>;
}

/// Decodes a body of server-sent events.
///
/// The rules are those of the [HTML
/// standard](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation),
/// with three differences: an event above a limit is refused before it is whole; the last event counts
/// without an empty line after it, if its data is whole; and an object that is no value of a field is
/// read if it reports an error.
#[derive(Debug)]
pub(crate) struct SseDecoder<A> {
    lines: Lines,
    event: SseEvent,
    stray: StrayJson,
    answer: A,
}

impl<A> SseDecoder<A> {
    /// Creates a decoder of an answer. An event has at most `max_bytes`.
    pub(crate) fn new(answer: A, max_bytes: usize) -> Self {
        Self {
            lines: Lines::new(max_bytes),
            event: SseEvent::new(max_bytes),
            stray: StrayJson::default(),
            answer,
        }
    }
}

impl<A> Decode for SseDecoder<A>
where
    A: SseAnswer,
{
    fn push(&mut self, bytes: &[u8], out: &mut VecDeque<ChatEvent>) -> Result<bool, ProviderError> {
        let mut received = false;
        let (event, stray, answer) = (&mut self.event, &mut self.stray, &mut self.answer);
        let pushed = self.lines.push(bytes, |line| {
            if answer.is_done() {
                return Ok(()); // bytes after the end are ignored
            }
            match event.take(line)? {
                SseLine::Event => {
                    received = true;
                    let data = String::from_utf8_lossy(&event.data);
                    answer.take(&event.name, &data, out)
                }
                SseLine::Field => Ok(()),
                SseLine::Stray(line) => match stray.take(line, event.max) {
                    Some(json) => answer.take_stray(&String::from_utf8_lossy(&json)),
                    None => Ok(()),
                },
            }
        });
        match pushed {
            Err(_) if answer.is_done() => Ok(received),
            Err(error) => answer.fail(error).map(|()| received),
            Ok(()) => Ok(received),
        }
    }

    fn is_done(&self) -> bool {
        self.answer.is_done()
    }

    fn is_finished(&self) -> bool {
        self.answer.is_finished()
    }

    fn usage(&self) -> Option<Usage> {
        self.answer.usage()
    }

    fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        let rest = self.lines.rest();
        if !self.answer.is_done() {
            self.last_event(&rest, out)?;
        }
        self.answer.end(out)
    }
}

impl<A> SseDecoder<A>
where
    A: SseAnswer,
{
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
                    self.answer.take_stray(&json)?;
                }
            }
            Ok(SseLine::Field | SseLine::Event) => {}
            Err(error) => return self.answer.fail(error),
        }
        if !self.event.has_begun() {
            return Ok(());
        }
        let data = String::from_utf8_lossy(&self.event.data);
        let whole = data.trim() == "[DONE]"
            || self.event.name == "error"
            || serde_json::from_str::<&RawValue>(&data).is_ok();
        if whole {
            self.answer.take(&self.event.name, &data, out)?;
        }
        Ok(())
    }
}
