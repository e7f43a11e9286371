use std::sync::Arc;

use crate::store::{StoreError, StoredAnswer};

/// The answers that a session holds for its owner, in the order in which they were stored.
///
/// A clone shares the list until one of the two changes.
#[derive(Debug, Clone, Default)]
pub struct AnswerLog {
    list: Arc<Vec<StoredAnswer>>,
    bytes: usize,
}

/// The effect of [`SessionMachine::answer`](super::SessionMachine::answer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerEffect {
    /// The answer was added, and the store has to keep it.
    Added,
    /// An equal answer was stored before; nothing changed.
    AlreadyStored,
    /// Another answer was stored before under this name; nothing changed.
    Taken,
}

impl AnswerLog {
    /// Adds an answer by the rules of the contract.
    pub(super) fn add(
        &mut self,
        answer: StoredAnswer,
        sealed: bool,
    ) -> Result<AnswerEffect, StoreError> {
        if let Some(stored) = self.list.iter().find(|stored| stored.name == answer.name) {
            return Ok(if stored.content == answer.content {
                AnswerEffect::AlreadyStored
            } else {
                AnswerEffect::Taken
            });
        }
        if sealed {
            return Err(StoreError::Sealed);
        }
        if !answer.fits(self.list.len(), self.bytes) {
            return Err(StoreError::Full);
        }
        self.push(answer);
        Ok(AnswerEffect::Added)
    }

    /// Appends an answer without a check, for a store that reads answers back.
    pub fn push(&mut self, answer: StoredAnswer) {
        self.bytes += answer.bytes();
        Arc::make_mut(&mut self.list).push(answer);
    }

    /// Returns the answers without the first `count`.
    pub(super) fn after(&self, count: usize) -> Vec<StoredAnswer> {
        self.list.get(count..).unwrap_or_default().to_vec()
    }

    /// Returns the answers, in order.
    pub fn as_slice(&self) -> &[StoredAnswer] {
        &self.list
    }
}
