use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::turn::ResponsesTurn;
use crate::{
    chat::{ChatEvent, ProviderError, Usage},
    provider::http::{SseAnswer, SseDecoder},
};

/// A turn that goes on over several connections, each of which has a decoder of its own.
#[derive(Debug, Clone)]
pub(super) struct SharedTurn {
    turn: Arc<Mutex<ResponsesTurn>>,
}

impl SharedTurn {
    pub(super) fn new(turn: ResponsesTurn) -> Self {
        Self {
            turn: Arc::new(Mutex::new(turn)),
        }
    }

    /// Locks the turn. A decoder that panicked leaves it as it is.
    pub(super) fn lock(&self) -> MutexGuard<'_, ResponsesTurn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the turn by one that begins anew.
    pub(super) fn replace(&self, turn: ResponsesTurn) {
        *self.lock() = turn;
    }

    /// Creates a decoder for a connection.
    pub(super) fn decoder(&self, max_bytes: usize) -> SseDecoder<Self> {
        SseDecoder::new(self.clone(), max_bytes)
    }
}

impl SseAnswer for SharedTurn {
    fn take(
        &mut self,
        name: &str,
        data: &str,
        out: &mut VecDeque<ChatEvent>,
    ) -> Result<(), ProviderError> {
        self.lock().take(name, data, out)
    }

    fn take_stray(&mut self, json: &str) -> Result<(), ProviderError> {
        self.lock().take_stray(json)
    }

    fn fail(&mut self, error: ProviderError) -> Result<(), ProviderError> {
        self.lock().fail(error)
    }

    fn is_done(&self) -> bool {
        self.lock().is_done()
    }

    fn is_finished(&self) -> bool {
        self.lock().is_finished()
    }

    fn usage(&self) -> Option<Usage> {
        self.lock().usage()
    }

    fn end(&mut self, out: &mut VecDeque<ChatEvent>) -> Result<(), ProviderError> {
        self.lock().end(out)
    }
}

#[cfg(test)]
mod tests;
