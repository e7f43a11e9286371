use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::answer::InnerAnswer;
use crate::{
    chat::{ChatEvent, ProviderError},
    provider::http::{Decode, Lines},
};

/// An answer that goes on over several connections, each of which has a decoder of its own.
#[derive(Debug, Clone)]
pub(super) struct SharedInnerAnswer {
    answer: Arc<Mutex<InnerAnswer>>,
}

/// Decodes one connection: a line for each event, and empty lines as signs of life.
#[derive(Debug)]
pub(super) struct NativeLines {
    lines: Lines,
    answer: SharedInnerAnswer,
}

impl SharedInnerAnswer {
    pub(super) fn new(answer: InnerAnswer) -> Self {
        Self {
            answer: Arc::new(Mutex::new(answer)),
        }
    }

    /// Locks the answer. A decoder that panicked leaves it as it is.
    pub(super) fn lock(&self) -> MutexGuard<'_, InnerAnswer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates a decoder for a connection.
    pub(super) fn decoder(&self, max_bytes: usize) -> NativeLines {
        NativeLines {
            lines: Lines::new(max_bytes),
            answer: self.clone(),
        }
    }
}

impl Decode for NativeLines {
    fn push(&mut self, bytes: &[u8], out: &mut VecDeque<ChatEvent>) -> Result<bool, ProviderError> {
        let (mut is_heard, mut is_failed) = (false, false);
        let answer = &self.answer;
        let pushed = self.lines.push(bytes, |line| {
            let mut answer = answer.lock();
            if line.trim_ascii().is_empty() || answer.has_ended() {
                return Ok(());
            }
            is_heard = true;
            let taken = answer.take(line, out);
            is_failed = taken.is_err();
            taken
        });
        match pushed {
            // Nothing after the end counts.
            Err(_) if !is_failed && self.is_done() => {}
            pushed => {
                self.answer.lock().note_broken(pushed.is_err());
                pushed?;
            }
        }
        Ok(is_heard)
    }

    fn is_done(&self) -> bool {
        self.answer.lock().has_ended()
    }

    fn end(&mut self, _: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        if self.is_done() {
            return Ok(());
        }
        // Half a line is none.
        let is_broken = !self.lines.rest().is_empty();
        self.answer.lock().note_broken(is_broken);
        Err(ProviderError::cut())
    }
}

#[cfg(test)]
mod tests;
