use std::sync::Arc;

use crate::{
    session::rule::{Rule, Rules},
    store::{Answer, StoreError},
};

/// What was answered to the session's owner, in order. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    list: Arc<Vec<Answer>>,
    bytes: usize,
}

/// What an answer comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It is added.
    New,
    /// It is there already.
    There,
    /// Another one is there under its name.
    Taken,
}

impl Answers {
    /// Takes an answer, or nothing at all if there is an error.
    pub(super) fn take(
        &mut self,
        answer: Answer,
        sealed: bool,
        rules: Rules,
    ) -> Result<Judged, StoreError> {
        let there = self.list.iter().position(|it| it.name == answer.name);
        if let Some(there) = there {
            if self.list[there].content == answer.content && rules.hold(Rule::AnswerAgain) {
                return Ok(Judged::There);
            }
            if !rules.hold(Rule::AnswerFirst) {
                Arc::make_mut(&mut self.list)[there] = answer;
                return Ok(Judged::New);
            }
            return Ok(Judged::Taken);
        }
        if sealed && rules.hold(Rule::AnswerUnsealed) {
            return Err(StoreError::Sealed);
        }
        if !answer.fits(self.list.len(), self.bytes) && rules.hold(Rule::AnswerFits) {
            return Err(StoreError::Full);
        }
        if rules.hold(Rule::AnswerStored) {
            self.push(answer);
        }
        Ok(Judged::New)
    }

    /// Adds one that was judged before.
    pub(crate) fn push(&mut self, answer: Answer) {
        self.bytes += answer.bytes();
        Arc::make_mut(&mut self.list).push(answer);
    }

    /// All but the first so many.
    pub(super) fn after(&self, count: usize, rules: Rules) -> Vec<Answer> {
        let count = if rules.hold(Rule::AnswersAfter) {
            count
        } else {
            0
        };
        self.list.get(count..).unwrap_or_default().to_vec()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Each, in order.
    #[cfg(feature = "disk")]
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Answer> {
        self.list.iter()
    }
}
