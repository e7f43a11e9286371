use std::collections::{HashMap, HashSet};

use crate::chat::{ChatEvent, ConversationState, StateOf, ToolCall, ToolRuns};

/// The ids of the calls of a server that took a session over.
///
/// Clients have the beginning of a call under each id that the log has announced and not called. A provider
/// that knows nothing of that may use such an id again, and the arguments would be added to those. The new call
/// gets another id, in all its events.
#[derive(Debug)]
pub(super) struct SuccessorIds {
    taken: HashSet<String>,
    /// The ids that the calls of this server have, by those of the provider.
    given: HashMap<String, String>,
}

impl SuccessorIds {
    /// Creates the ids after a log; `None` if it has no id that a call may not have. A provider that reads on
    /// goes on with the calls that the log has announced; no other does.
    pub(super) fn after(runs: &ToolRuns, reads_on: bool) -> Option<Self> {
        let taken: HashSet<_> = runs.void_ids(reads_on).map(str::to_owned).collect();
        (!taken.is_empty()).then(|| Self {
            taken,
            given: HashMap::new(),
        })
    }

    /// Gives the calls of an event the ids that they have in the log.
    pub(super) fn apply(&mut self, event: &mut ChatEvent) {
        match event {
            ChatEvent::ToolInput(input) => self.begin(&mut input.id),
            ChatEvent::ToolCalls(asked) => {
                self.begin_all(&mut asked.calls);
                for id in asked.repeatable.iter_mut().chain(&mut asked.not_run) {
                    self.replace(id);
                }
            }
            ChatEvent::ProviderState(state) => {
                if let StateOf::Call(id) = &mut state.of {
                    self.begin(id);
                }
            }
            ChatEvent::ToolResult(result) => self.replace(&mut result.id),
            ChatEvent::ToolError(error) => self.replace(&mut error.id),
            ChatEvent::ToolProgress(progress) => self.replace(&mut progress.id),
            ChatEvent::InputRequest(request) => {
                if let Some(id) = &mut request.call_id {
                    self.replace(id);
                }
            }
            ChatEvent::IsomorphicHandoff(handoff) => self.replace(&mut handoff.call_id),
            ChatEvent::ConversationState(event) => self.replace_in(&mut event.conversation_state),
            _ => {}
        }
    }

    fn begin_all(&mut self, calls: &mut [ToolCall]) {
        for call in calls {
            self.begin(&mut call.id);
        }
    }

    /// Replaces an id under which a call may begin.
    fn begin(&mut self, id: &mut String) {
        if self.taken.contains(id) && !self.given.contains_key(id) {
            let new = (2_u64..).map(|number| format!("{id}-{number}"));
            let mut new = new.filter(|new| !self.taken.contains(new));
            let new = new.next().expect("some number is free");
            // The provider's own call of this id gets another one too.
            self.taken.insert(new.clone());
            self.given.insert(id.clone(), new);
        }
        self.replace(id);
    }

    fn replace(&self, id: &mut String) {
        if let Some(given) = self.given.get(id) {
            id.clone_from(given);
        }
    }

    fn replace_in(&self, state: &mut ConversationState) {
        for call in &mut state.tool_calls {
            self.replace(&mut call.id);
        }
        for result in &mut state.server_tool_results {
            self.replace(&mut result.id);
        }
        for message in &mut state.messages {
            for call in &mut message.tool_calls {
                self.replace(&mut call.id);
            }
            if let Some(id) = &mut message.tool_call_id {
                self.replace(id);
            }
        }
    }
}
