use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
};

use serde_json::Value;

use super::{
    ChatEvent, Input, InputId, InputKind, InputOutcome, InputRequest, IsomorphicHandoff, ToolCall,
    ToolCalls,
};

/// The tools that ran for an answer, read from its log, over all its restarts.
///
/// A [`Transcript`](super::Transcript) drops everything before a `restarted` event, but the effects
/// of tools remain. So that no tool repeats them, a call after a restart counts as a call from
/// before if the tool and the arguments are equal. Each earlier call is matched once, in order.
/// Arguments are compared as JSON values: a model that words them differently makes a new call.
///
/// `Debug` shows counts, not contents.
#[derive(Clone, Default, PartialEq)]
pub struct ToolRuns {
    runs: Vec<ToolRun>,
    // The calls since the last restart.
    asked: HashMap<String, usize>,
    // The calls that came with the request. A restart brings them again under the same ids.
    brought: HashMap<String, usize>,
    // The runs that these questions are of.
    inputs: HashMap<InputId, usize>,
    // The calls since the last restart whose arguments were streamed, and that have not come.
    announced: BTreeSet<String>,
    // The ids of calls that were announced and never come.
    void: HashSet<String>,
}

/// One run of a tool, or a call that hasn't run yet.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what the log tells of a run: each holds or not by itself"
)]
pub struct ToolRun {
    /// The tool's name.
    pub name: String,
    /// The arguments of the call; `null` if only the second half ran.
    pub arguments: Value,
    /// True if the tool may have begun: the log has the call, and doesn't show that it
    /// [waits for an approval](field@super::InputRequest::before_call), or that
    /// [no tool runs for it](field@super::ToolCalls::not_run).
    pub begun: bool,
    /// False if the log has the call from a server whose tool must not run twice.
    pub repeatable: bool,
    /// The text of the approval that was asked for before the call, if the log has one.
    pub approval: Option<String>,
    /// True if the user allowed it.
    pub approved: bool,
    /// The questions of the call, in order, its approval included. Those from before a restart remain until another is asked
    /// in their place.
    pub inputs: Vec<Input>,
    /// The outcome, if the log has it.
    pub outcome: Option<ToolOutcome>,
    // True if the model has asked for it since the last restart.
    asked: bool,
    // The number of the questions that were asked since the last restart.
    inputs_asked: usize,
    // True for the second half of a call that came with the request.
    concludes: bool,
}

/// The outcome of a run.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "only where a dependency makes maps larger"
)]
pub enum ToolOutcome {
    /// The tool's result.
    Result(String),
    /// The message of a failure.
    Error(String),
    /// The call was handed to the client.
    HandedOver(IsomorphicHandoff),
}

impl ToolRuns {
    /// Creates a value without runs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one event of the log.
    pub fn push(&mut self, event: &ChatEvent) {
        match event {
            ChatEvent::ToolCalls(calls) => self.push_calls(calls),
            ChatEvent::ToolInput(input) if input.cut => {
                self.void.extend(self.announced.take(&input.id));
            }
            ChatEvent::ToolInput(input) if self.asked.contains_key(&input.id) => {}
            ChatEvent::ToolInput(input) if self.announced.contains(&input.id) => {}
            ChatEvent::ToolInput(input) => {
                self.announced.insert(input.id.clone());
            }
            ChatEvent::Turn(_) => self.void.extend(std::mem::take(&mut self.announced)),
            ChatEvent::ToolProgress(progress) => {
                let at = self.begin(&progress.id, &progress.name);
                let run = &mut self.runs[at];
                if run.concludes && !run.begun {
                    run.repeatable &= progress.repeatable;
                }
                run.begun = true;
            }
            ChatEvent::ToolResult(result) => {
                let at = self.begin(&result.id, &result.name);
                self.end(at, ToolOutcome::Result(result.content.clone()));
            }
            ChatEvent::ToolError(error) => {
                let at = self.begin(&error.id, &error.name);
                self.end(at, ToolOutcome::Error(error.message.clone()));
            }
            ChatEvent::IsomorphicHandoff(handoff) => {
                let at = self.begin(&handoff.call_id, &handoff.tool_name);
                self.end(
                    at,
                    ToolOutcome::HandedOver(IsomorphicHandoff::clone(handoff)),
                );
            }
            ChatEvent::InputRequest(request) => self.push_request(request),
            ChatEvent::InputResolved(resolved) => {
                if let Some(at) = self.inputs.remove(&resolved.input_id) {
                    self.runs[at].resolve(&resolved.input_id, &resolved.action);
                }
            }
            ChatEvent::Restarted(_) => {
                self.asked.clear();
                self.inputs.clear();
                self.void.extend(std::mem::take(&mut self.announced));
                for run in &mut self.runs {
                    run.asked = false;
                    run.inputs_asked = 0;
                }
            }
            _ => {}
        }
    }

    fn push_calls(&mut self, asked: &ToolCalls) {
        let repeatable: HashSet<&String> = asked.repeatable.iter().collect();
        let not_run: HashSet<&String> = asked.not_run.iter().collect();
        for call in &asked.calls {
            self.announced.remove(&call.id);
            self.void.remove(&call.id);
            let at = self.ask(call);
            if !not_run.contains(&call.id) {
                let run = &mut self.runs[at];
                // After a restart, a call that waited for its approval waits for the same one.
                run.begun |= run.approval.is_none();
                run.repeatable &= repeatable.contains(&call.id);
            }
        }
    }

    fn push_request(&mut self, request: &InputRequest) {
        let Some(id) = &request.call_id else {
            return;
        };
        if request.kind == InputKind::Approval && request.before_call {
            let at = self.begin(id, request.tool_name.as_deref().unwrap_or_default());
            let run = &mut self.runs[at];
            run.begun = false;
            run.approval = Some(request.message.clone());
        }
        if let Some(at) = self.find(id) {
            self.runs[at].ask(request);
            self.inputs.insert(request.input_id.clone(), at);
        }
    }

    /// Returns the index of the run that a call stands for: the run that this id named before, or a
    /// run of the same tool with equal arguments that has not been asked for since the last
    /// restart, or a new one.
    pub fn ask(&mut self, call: &ToolCall) -> usize {
        if let Some(at) = self.asked.get(&call.id) {
            return *at;
        }
        let same =
            |run: &ToolRun| !run.asked && run.name == call.name && run.arguments == call.arguments;
        let at = self.runs.iter().position(same);
        let at = at.unwrap_or_else(|| self.add(&call.name, call.arguments.clone()));
        self.runs[at].asked = true;
        self.asked.insert(call.id.clone(), at);
        at
    }

    /// Returns the index of the run of a call that came with the request, for its second half. Adds
    /// a run if the log doesn't have one.
    pub fn begin(&mut self, call_id: &str, name: &str) -> usize {
        if let Some(at) = self.find(call_id) {
            return at;
        }
        let at = self.add(name, Value::Null);
        self.runs[at].asked = true;
        self.runs[at].concludes = true;
        self.brought.insert(call_id.to_owned(), at);
        at
    }

    /// Returns the index of the run that a call stands for, if there is one.
    pub fn find(&self, call_id: &str) -> Option<usize> {
        let asked = self.asked.get(call_id);
        asked.or_else(|| self.brought.get(call_id)).copied()
    }

    /// Returns the ids of the calls whose arguments were streamed, since the last restart, and that have not
    /// come.
    pub(crate) fn announced(&self) -> impl Iterator<Item = &str> {
        self.announced.iter().map(String::as_str)
    }

    /// Returns the ids of calls that were announced and never come: clients have the beginning of other arguments
    /// under them. Those of [`announced`](Self::announced) come yet if the provider `reads_on`, and only then.
    pub(crate) fn void_ids(&self, reads_on: bool) -> impl Iterator<Item = &str> {
        let announced = self.announced.iter().filter(move |_| !reads_on);
        self.void.iter().chain(announced).map(String::as_str)
    }

    /// Returns all runs, in the order in which they were first asked for.
    pub fn as_slice(&self) -> &[ToolRun] {
        &self.runs
    }

    fn add(&mut self, name: &str, arguments: Value) -> usize {
        self.runs.push(ToolRun {
            name: name.to_owned(),
            arguments,
            begun: false,
            repeatable: true,
            approval: None,
            approved: false,
            inputs: Vec::new(),
            outcome: None,
            asked: false,
            inputs_asked: 0,
            concludes: false,
        });
        self.runs.len() - 1
    }

    // The first outcome counts: the model has seen it.
    fn end(&mut self, at: usize, outcome: ToolOutcome) {
        self.runs[at].outcome.get_or_insert(outcome);
    }
}

impl ToolRun {
    fn ask(&mut self, request: &InputRequest) {
        let input = Input {
            request: request.clone(),
            outcome: None,
        };
        match self.inputs.get_mut(self.inputs_asked) {
            Some(before) => *before = input,
            None => self.inputs.push(input),
        }
        self.inputs_asked += 1;
    }

    fn resolve(&mut self, id: &InputId, outcome: &InputOutcome) {
        let asked = self.inputs[..self.inputs_asked].iter_mut();
        let Some(input) = asked.rev().find(|input| input.request.input_id == *id) else {
            return;
        };
        input.outcome.get_or_insert_with(|| outcome.clone());
        if input.request.kind == InputKind::Approval && *outcome == InputOutcome::Accept {
            self.approved = true;
            // The log has an event of its own for the begin of a second half.
            self.begun |= !self.concludes;
        }
    }
}

impl<'a> FromIterator<&'a ChatEvent> for ToolRuns {
    fn from_iter<I>(events: I) -> Self
    where
        I: IntoIterator<Item = &'a ChatEvent>,
    {
        let mut runs = Self::new();
        for event in events {
            runs.push(event);
        }
        runs
    }
}

impl fmt::Debug for ToolRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.runs.iter().filter(|run| run.outcome.is_some());
        f.debug_struct("ToolRuns")
            .field("runs", &self.runs.len())
            .field("outcomes", &known.count())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ToolRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolRun")
            .field("name", &self.name)
            .field("begun", &self.begun)
            .field("repeatable", &self.repeatable)
            .field("approved", &self.approved)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ToolOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Result(_) => "Result",
            Self::Error(_) => "Error",
            Self::HandedOver(_) => "HandedOver",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::{
        FinishReason, InputRequest, InputResolved, ToolInput, ToolProgress, TurnEnd,
    };

    fn call(id: &str, value: i32) -> ToolCall {
        ToolCall::new(id, "pay", json!({"sum": value}))
    }

    #[test]
    fn a_call_after_a_restart_matches_an_equal_earlier_call_once() {
        let mut runs: ToolRuns = [
            ChatEvent::tool_calls([call("1", 5), call("2", 5), call("3", 7)]),
            ChatEvent::tool_result("1", "pay", "first"),
            ChatEvent::tool_error("3", "pay", "no"),
            ChatEvent::restarted("again"),
        ]
        .iter()
        .collect();
        let mut outcome = |call: &ToolCall| {
            let at = runs.ask(call);
            (at, runs.as_slice()[at].outcome.clone())
        };
        let first = Some(ToolOutcome::Result("first".into()));
        assert_eq!(outcome(&call("a", 5)), (0, first.clone()));
        assert_eq!(outcome(&call("a", 5)), (0, first), "asked again by its id");
        assert_eq!(outcome(&call("b", 5)), (1, None));
        assert_eq!(outcome(&call("c", 5)), (3, None), "one more than before");
        assert_eq!(
            outcome(&call("d", 7)),
            (2, Some(ToolOutcome::Error("no".into())))
        );
    }

    #[test]
    fn within_one_attempt_equal_calls_are_calls_of_their_own() {
        let mut runs: ToolRuns = [
            ChatEvent::tool_calls([call("1", 5)]),
            ChatEvent::tool_result("1", "pay", "first"),
        ]
        .iter()
        .collect();
        assert_eq!(runs.ask(&call("2", 5)), 1);
    }

    #[test]
    fn a_run_that_is_asked_for_again_is_one_run_over_any_number_of_restarts() {
        let mut runs: ToolRuns = [
            ChatEvent::tool_calls([call("1", 5)]),
            ChatEvent::tool_result("1", "pay", "first"),
            ChatEvent::restarted("again"),
            ChatEvent::tool_calls([call("x", 5)]),
            ChatEvent::tool_result("x", "pay", "first"),
            ChatEvent::restarted("and again"),
        ]
        .iter()
        .collect();
        assert_eq!(runs.as_slice().len(), 1);
        assert_eq!(runs.ask(&call("y", 5)), 0);
        assert_eq!(runs.ask(&call("z", 5)), 1);
    }

    #[test]
    fn an_approval_belongs_to_the_run_that_it_was_asked_for() {
        let id = || "q".parse::<InputId>().unwrap();
        let asked = InputRequest::approval(id(), "Pay?").tool_call("1", "pay", json!({}));
        let mut runs: ToolRuns = [
            ChatEvent::tool_calls([call("1", 5), call("2", 6)]),
            asked.into(),
        ]
        .iter()
        .collect();
        assert!(!runs.as_slice()[0].approved);
        runs.push(&InputResolved::new(id(), InputOutcome::Accept).into());
        assert!(runs.as_slice()[0].approved);
        assert!(!runs.as_slice()[1].approved);
    }

    #[test]
    fn a_call_that_is_made_again_after_a_restart_still_waits_for_its_approval() {
        let id = || "q".parse::<InputId>().unwrap();
        let asked = InputRequest::approval(id(), "Pay?")
            .tool_call("1", "pay", json!({"sum": 5}))
            .before_call(true);
        let mut runs: ToolRuns = [
            ChatEvent::tool_calls([call("1", 5)]),
            asked.clone().into(),
            ChatEvent::restarted("again"),
            // The server died once more, before it asked.
            ChatEvent::tool_calls([call("x", 5)]),
        ]
        .iter()
        .collect();
        let run = &runs.as_slice()[0];
        assert!(!run.begun);
        assert_eq!(run.approval.as_deref(), Some("Pay?"));
        let mut again = asked;
        again.call_id = Some("x".into());
        runs.push(&again.into());
        runs.push(&InputResolved::new(id(), InputOutcome::Accept).into());
        assert!(runs.as_slice()[0].begun && runs.as_slice()[0].approved);
    }

    #[test]
    fn a_call_that_came_with_the_request_keeps_its_id_over_a_restart() {
        let mut runs: ToolRuns = [
            ToolProgress::new("from-before", "map").into(),
            ChatEvent::restarted("again"),
        ]
        .iter()
        .collect();
        assert_eq!(runs.begin("from-before", "map"), 0);
        assert_eq!(runs.as_slice()[0].outcome, None);
        runs.push(&ChatEvent::tool_result("from-before", "map", "done"));
        assert!(runs.as_slice()[0].outcome.is_some());
    }

    #[test]
    fn ids_that_were_announced_and_never_called_are_void() {
        let announced = |id: &str| ToolInput::new(id, "{").name("pay").into();
        let void = |log: &[ChatEvent]| {
            let runs: ToolRuns = log.iter().collect();
            let mut void: Vec<_> = runs.void_ids(false).map(str::to_owned).collect();
            void.sort_unstable();
            let open: Vec<_> = runs.announced().map(str::to_owned).collect();
            (open.concat(), void.concat())
        };
        let expected = |open: &str, void: &str| (open.to_owned(), void.to_owned());
        let turn = || TurnEnd::new(FinishReason::ToolCalls).into();
        let mut log = vec![announced("a"), announced("b"), announced("a")];
        assert_eq!(void(&log), expected("ab", "ab"));
        log.extend([ChatEvent::tool_calls([call("a", 5)]), announced("a")]);
        assert_eq!(void(&log), expected("b", "b"));
        log.extend([turn(), announced("c"), announced("d")]);
        assert_eq!(void(&log), expected("cd", "bcd"));
        log.push(ToolInput::cut("c").into());
        assert_eq!(void(&log), expected("d", "bcd"));
        // A call that came after all.
        log.push(ChatEvent::tool_calls([call("b", 5)]));
        assert_eq!(void(&log), expected("d", "cd"));
        log.push(ChatEvent::restarted("again"));
        assert_eq!(void(&log), expected("", "cd"));
    }
}
