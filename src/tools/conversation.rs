use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{
    call::CallScope,
    config::ToolConfig,
    follow_up::{self, FollowUpPosition},
    offer::{Offer, Offers},
    running_calls::{CallRecord, RunningCalls},
};
use crate::{
    chat::{
        ChatEvent, ChatRequest, Complete, ConversationState, FinishReason, Message, ProviderError,
        Role, Text, ToolCall, ToolRuns, Transcript, Usage,
    },
    log::ErrorCode,
};

/// The state of an answer with tools: the next request to the model, and the running tools. It
/// holds no provider.
pub(super) struct Conversation {
    pub(super) config: Arc<ToolConfig>,
    // The next request to the model.
    pub(super) request: ChatRequest,
    pub(super) offers: Offers,
    pub(super) scope: Arc<CallScope>,
    pub(super) runs: ToolRuns,
    // The number of runs in the log when this server began.
    pub(super) known: usize,
    // The interrupted answer that this one continues.
    pub(super) before: Option<Arc<Transcript>>,
    // The turn in which that answer was interrupted.
    partial: Option<Arc<Transcript>>,
    stage: ConversationStage,
    turns: usize,
    text: String,
    pub(super) calls: Vec<ToolCall>,
    emitted_text: bool,
    ids: Option<HashSet<String>>,
    usage: Option<Usage>,
    closing: VecDeque<ChatEvent>,
}

enum ConversationStage {
    /// The model answers.
    Model,
    /// The second halves of the request's own tools run.
    FollowUp(RunningCalls, FollowUpPosition),
    /// The tools of a turn run.
    Tools(RunningCalls),
    /// The client continues.
    HandedOver,
}

/// The handling of an event of the model.
pub(super) enum EventAction {
    /// Pass it on.
    Pass,
    /// The turn has ended with calls: run the tools.
    RunTools,
    /// It was the last event: send the closing events.
    Close,
}

impl Conversation {
    pub(super) fn new(config: Arc<ToolConfig>, mut request: ChatRequest) -> Self {
        let offers = Offers::of(&config.tools, &mut request);
        let mut outputs = std::mem::take(&mut request.isomorphic_client_outputs);
        let runs = std::mem::take(&mut request.runs);
        let before = request.so_far.take();
        if let Some(before) = &before
            && !before.text().is_empty()
            && request.messages.last() == Some(&Message::assistant(before.text()))
        {
            // Added again below, turn by turn.
            request.messages.pop();
        }
        let mut this = Self {
            scope: Arc::new(CallScope {
                session_id: request.session_id.clone(),
                owner: request.owner.clone(),
                chat_id: request.chat_id.clone(),
                extensions: request.extensions.clone(),
                inputs: request.inputs.clone(),
                input_timeout: config.input_timeout,
            }),
            known: runs.as_slice().len(),
            runs: ToolRuns::clone(&runs),
            emitted_text: before.as_ref().is_some_and(|it| !it.text().is_empty()),
            config,
            request,
            offers,
            before,
            partial: None,
            stage: ConversationStage::Model,
            turns: 0,
            text: String::new(),
            calls: Vec::new(),
            ids: None,
            usage: None,
            closing: VecDeque::new(),
        };
        if outputs.is_empty() {
            this.resume();
        } else {
            let position = follow_up::locate(&mut this.request.messages, &mut outputs);
            let running = this.follow_up(outputs, &position);
            this.stage = ConversationStage::FollowUp(running, position);
        }
        this
    }

    /// Returns true if tools run before the model is called.
    pub(super) fn runs_tools(&self) -> bool {
        !matches!(self.stage, ConversationStage::Model)
    }

    /// Returns the next request to the model.
    pub(super) fn next_request(&mut self) -> ChatRequest {
        self.turns += 1;
        let mut request = self.request.clone();
        if let Some(partial) = self.partial.take() {
            if !partial.text().is_empty() {
                request.messages.push(Message::assistant(partial.text()));
            }
            request.so_far = Some(partial);
        }
        request
    }

    /// Adds a piece of the model's text.
    #[inline]
    pub(super) fn push_text(&mut self, text: &Text) {
        self.text.push_str(&text.content);
    }

    /// Adds another event of the model.
    pub(super) fn push(&mut self, event: &mut ChatEvent) -> EventAction {
        match event {
            ChatEvent::Text(text) => {
                self.push_text(text);
                EventAction::Pass
            }
            ChatEvent::ToolCalls(calls) => {
                for call in &mut calls.calls {
                    self.assign_id(call);
                }
                self.calls.extend_from_slice(&calls.calls);
                EventAction::Pass
            }
            ChatEvent::Complete(complete) => self.complete(complete),
            _ => EventAction::Pass,
        }
    }

    /// Returns true if the model has asked for tools in this turn.
    pub(super) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Handles a stream of the model that ended without a terminal event.
    pub(super) fn end(&mut self) {
        if let Some(usage) = self.usage.take() {
            let complete = Complete::new().usage(usage);
            self.closing.push_back(complete.into());
        }
    }

    /// Returns the next closing event.
    pub(super) fn closing(&mut self) -> Option<ChatEvent> {
        self.closing.pop_front()
    }

    pub(super) fn is_handed_over(&self) -> bool {
        matches!(self.stage, ConversationStage::HandedOver)
    }

    fn complete(&mut self, complete: &mut Complete) -> EventAction {
        if let Some(usage) = complete.usage.take() {
            *self.usage.get_or_insert_default() += usage;
        }
        // A model that doesn't stream sends the whole text at the end of its turn.
        let whole = complete
            .text
            .take_if(|_| self.emitted_text || self.has_calls());
        if let Some(text) = whole.filter(|text| self.text.is_empty() && !text.is_empty()) {
            self.text.clone_from(&text);
            self.closing.push_back(ChatEvent::text(text));
        }
        if self.has_calls() {
            return EventAction::RunTools;
        }
        complete.usage = self.usage.take();
        if self.closing.is_empty() {
            return EventAction::Pass;
        }
        self.closing.push_back(std::mem::take(complete).into());
        EventAction::Close
    }

    /// Makes the id of a call unique: some servers send none, or repeat one in every turn.
    fn assign_id(&mut self, call: &mut ToolCall) {
        let ids = self.ids.get_or_insert_with(|| {
            let messages = &self.request.messages;
            let asked = messages.iter().flat_map(|it| it.tool_calls.iter());
            let before = self.before.iter().flat_map(|it| it.tool_calls().iter());
            asked.chain(before).map(|call| call.id.clone()).collect()
        });
        if call.id.is_empty() {
            "call".clone_into(&mut call.id);
        }
        if ids.contains(&call.id) {
            let free = (2..).map(|n: u64| format!("{}-{n}", call.id));
            let free = free.into_iter().find(|id| !ids.contains(id));
            call.id = free.expect("there is always a larger number");
        }
        ids.insert(call.id.clone());
    }

    /// Starts the tools of the turn.
    ///
    /// # Errors
    ///
    /// If the model has been called the maximum number of times.
    pub(super) fn begin_tools(&mut self) -> Result<(), ProviderError> {
        let all_the_clients = || {
            let mut offers = self.calls.iter().map(|call| self.offers.get(&call.name));
            offers.all(|offer| offer.is_some_and(Offer::is_client_tool))
        };
        if !all_the_clients() {
            self.may_ask()?;
        }
        self.stage = ConversationStage::Tools(self.tools(None));
        Ok(())
    }

    /// Checks that the model may be called once more.
    ///
    /// # Errors
    ///
    /// If it has been called the maximum number of times.
    pub(super) fn may_ask(&self) -> Result<(), ProviderError> {
        let most = self.config.max_iterations;
        if self.turns < most {
            return Ok(());
        }
        let error = ProviderError::new(format!(
            "The answer needed more than {most} rounds of tools, which is the limit. Ask for less."
        ));
        Err(error.with_code(ErrorCode::Limit))
    }

    /// Returns the next event of the tools; `None` once all of them are done.
    pub(super) fn poll_tools(&mut self, cx: &mut Context<'_>) -> Poll<Option<ChatEvent>> {
        loop {
            if let Some(event) = self.closing.pop_front() {
                return Poll::Ready(Some(event));
            }
            let running = match &mut self.stage {
                ConversationStage::FollowUp(running, _) | ConversationStage::Tools(running) => {
                    running
                }
                ConversationStage::Model | ConversationStage::HandedOver => {
                    return Poll::Ready(None);
                }
            };
            if let Some(event) = ready!(running.poll(cx)) {
                return Poll::Ready(Some(event));
            }
            match std::mem::replace(&mut self.stage, ConversationStage::Model) {
                ConversationStage::FollowUp(running, position) => {
                    self.finish_follow_up(running.into_calls(), &position);
                }
                ConversationStage::Tools(running) => self.finish_turn(running.into_calls()),
                stage @ (ConversationStage::Model | ConversationStage::HandedOver) => {
                    self.stage = stage;
                }
            }
        }
    }

    /// Adds the turn and the results of its tools to the request.
    fn finish_turn(&mut self, calls_run: Vec<CallRecord>) {
        let text = std::mem::take(&mut self.text);
        let calls = std::mem::take(&mut self.calls);
        self.emitted_text |= !text.is_empty();
        if calls_run.iter().any(|call| call.handed_over) {
            return self.hand_over(text, calls, &calls_run);
        }
        let turn = Message::assistant(text).tool_calls(calls);
        self.request.messages.push(turn);
        let results = calls_run.into_iter().filter_map(|call| call.message);
        self.request.messages.extend(results);
    }

    fn hand_over(&mut self, text: String, calls: Vec<ToolCall>, calls_run: &[CallRecord]) {
        self.stage = ConversationStage::HandedOver;
        // System messages are not for clients, and clients may not send them.
        let messages = self.request.messages.iter();
        let messages = messages.filter(|message| message.role != Role::System);
        let mut state = ConversationState::new(messages.cloned());
        state.assistant_content = text;
        state.tool_calls = calls;
        state.server_tool_results = calls_run.iter().filter_map(CallRecord::result).collect();
        let before = self.before.as_ref();
        if before.is_none_or(|before| before.conversation_state().is_none()) {
            self.closing.push_back(ChatEvent::conversation_state(state));
        }
        let mut complete = Complete::new().finish_reason(FinishReason::ToolCalls);
        complete.usage = self.usage.take();
        self.closing.push_back(complete.into());
    }

    fn finish_follow_up(&mut self, calls_run: Vec<CallRecord>, position: &FollowUpPosition) {
        let results = calls_run.into_iter().filter_map(|call| call.message);
        self.request
            .messages
            .splice(position.at..position.at, results);
        self.resume();
    }

    /// Continues the answer that was interrupted, if one was.
    fn resume(&mut self) {
        let Some(before) = self.before.clone() else {
            return;
        };
        let (turns, open) = before.finished_turns();
        self.turns = turns
            .iter()
            .filter(|turn| turn.role == Role::Assistant)
            .count();
        self.request.messages.extend(turns);
        if let Some((text, calls)) = open {
            text.clone_into(&mut self.text);
            self.calls = calls.to_vec();
            self.turns += 1;
            self.stage = ConversationStage::Tools(self.tools(Some(&before)));
        } else {
            let partial = before.last_turn();
            partial.text().clone_into(&mut self.text);
            let said = !(partial.text().is_empty() && partial.thinking().is_empty());
            self.partial = said.then(|| Arc::new(partial));
        }
    }
}
