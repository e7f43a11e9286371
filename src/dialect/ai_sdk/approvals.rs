use std::collections::{BTreeSet, HashMap, HashSet};

use crate::chat::{InputId, InputResolved};

/// The open approvals of a message, and the calls that still run.
///
/// The SDK's clients send the response to an approval only after the stream has ended, and only if
/// every other call of the step has its outcome or waits for an approval. So a stream with an open
/// approval ends as soon as that holds, and not before.
#[derive(Debug, Default)]
pub(super) struct Approvals {
    /// The call of each approval, by the id of the question; answered ones included.
    asked: HashMap<String, String>,
    open: HashSet<String>,
    /// Questions that the client has answered; the log may not have the answer yet.
    answered: HashSet<InputId>,
    /// The calls whose outcome waits neither for an approval nor for the client.
    running: HashSet<String>,
    /// The calls with a decision that have no outcome yet.
    decided: BTreeSet<String>,
    /// True if the client reads `tool-approval-response`.
    pub(super) client_reads_responses: bool,
}

impl Approvals {
    /// Adds questions that the client has answered.
    pub(super) fn answered(&mut self, inputs: impl IntoIterator<Item = InputId>) {
        self.answered.extend(inputs);
    }

    /// Drops the answers, which belong to questions of another session with the same ids.
    pub(super) fn forget_answers(&mut self) {
        self.answered.clear();
    }

    /// Adds a call.
    pub(super) fn call(&mut self, call: &str) {
        self.running.insert(call.to_owned());
    }

    /// Removes a call that has its outcome or was handed to the client.
    pub(super) fn settle(&mut self, call: &str) {
        self.running.remove(call);
        self.decided.remove(call);
        let asked = &self.asked;
        self.open
            .retain(|input| asked.get(input).is_none_or(|of| of != call));
    }

    /// Adds the approval of a call.
    pub(super) fn ask(&mut self, input: &str, call: &str) {
        self.asked.insert(input.to_owned(), call.to_owned());
        if self.answered.contains(input) {
            self.running.insert(call.to_owned());
            self.decided.insert(call.to_owned());
        } else {
            self.running.remove(call);
            self.open.insert(input.to_owned());
        }
    }

    /// Closes a question. Returns `None` if it was no approval, else whether it was open.
    pub(super) fn resolve(&mut self, resolved: &InputResolved) -> Option<bool> {
        let call = self.asked.get(resolved.input_id.as_str())?;
        let was_open = self.open.remove(resolved.input_id.as_str());
        if was_open {
            self.decided.insert(call.clone());
            // Refused ones too: without the outcome of the call, a client could not send its responses.
            self.running.insert(call.clone());
        }
        Some(was_open)
    }

    /// Removes all approvals and calls, at a restart or at the end. Returns the calls with a decision and
    /// without an outcome.
    pub(super) fn clear(&mut self) -> BTreeSet<String> {
        self.open.clear();
        self.running.clear();
        std::mem::take(&mut self.decided)
    }

    /// Returns true if an approval is open.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Returns true if an approval is open and no call runs.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_open() && self.running.is_empty()
    }
}
