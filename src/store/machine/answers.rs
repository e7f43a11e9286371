use std::sync::Arc;

use crate::store::{StoreError, StoredAnswer};

/// What was answered to the session's owner, in order. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AnswerLog {
    list: Arc<Vec<StoredAnswer>>,
    bytes: usize,
}

/// What an answer comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerEffect {
    /// It is added.
    Added,
    /// It is there already.
    AlreadyStored,
    /// Another one is there under its name.
    Taken,
}

impl AnswerLog {
    /// Takes an answer, or nothing at all if there is an error.
    pub(super) fn take(
        &mut self,
        answer: StoredAnswer,
        sealed: bool,
    ) -> Result<AnswerEffect, StoreError> {
        let there = self.list.iter().position(|it| it.name == answer.name);
        if let Some(there) = there {
            if self.list[there].content == answer.content {
                return Ok(AnswerEffect::AlreadyStored);
            }
            return Ok(AnswerEffect::Taken);
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

    /// Adds one that was judged before.
    pub fn push(&mut self, answer: StoredAnswer) {
        self.bytes += answer.bytes();
        Arc::make_mut(&mut self.list).push(answer);
    }

    /// All but the first so many.
    pub(super) fn after(&self, count: usize) -> Vec<StoredAnswer> {
        self.list.get(count..).unwrap_or_default().to_vec()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Each, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, StoredAnswer> {
        self.list.iter()
    }
}
