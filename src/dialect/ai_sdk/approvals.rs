use std::collections::{HashMap, HashSet};

use crate::chat::{InputId, InputOutcome, InputResolved};

/// Which approvals are open, and which calls still run beside them.
///
/// The SDK's clients send what a person says only once they have read the stream to its end, and only
/// if every other call of the step has its outcome by then, or waits for a person as well. So a
/// stream with an open approval ends as soon as that holds, and not before.
#[derive(Debug, Default)]
pub(super) struct Approvals {
    /// Of which call each question is, answered or not.
    asked: HashMap<String, String>,
    open: HashSet<String>,
    /// Questions that the client has answered, though the log may not say so yet.
    answered: HashSet<InputId>,
    /// The calls of which something is still to come without a person's or the client's doing.
    running: HashSet<String>,
}

impl Approvals {
    /// For a client that has answered these questions.
    pub(super) fn answered(&mut self, inputs: impl IntoIterator<Item = InputId>) {
        self.answered.extend(inputs);
    }

    /// It has answered others, of the same names.
    pub(super) fn forget_answers(&mut self) {
        self.answered.clear();
    }

    /// A call is made.
    pub(super) fn call(&mut self, call: &str) {
        self.running.insert(call.to_owned());
    }

    /// A call has its outcome, or is the client's from here on.
    pub(super) fn settle(&mut self, call: &str) {
        self.running.remove(call);
        let asked = &self.asked;
        self.open
            .retain(|input| asked.get(input).is_none_or(|of| of != call));
    }

    /// A call waits for a person.
    pub(super) fn ask(&mut self, input: &str, call: &str) {
        self.asked.insert(input.to_owned(), call.to_owned());
        if self.answered.contains(input) {
            self.running.insert(call.to_owned());
        } else {
            self.running.remove(call);
            self.open.insert(input.to_owned());
        }
    }

    /// A question is no longer open. Whether it was an approval.
    pub(super) fn resolve(&mut self, resolved: &InputResolved) -> bool {
        let Some(call) = self.asked.get(resolved.input_id.as_str()) else {
            return false;
        };
        let was_open = self.open.remove(resolved.input_id.as_str());
        if was_open && resolved.action == InputOutcome::Accept {
            self.running.insert(call.clone());
        }
        true
    }

    /// Nobody waits any longer: all begins anew, or is over.
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.running.clear();
    }

    /// Whether a person is asked.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether a person is asked, and nothing else is under way.
    pub(super) fn waits(&self) -> bool {
        self.is_open() && self.running.is_empty()
    }
}
