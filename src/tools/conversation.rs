mod resume;

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, ready},
};

use serde_json::{Map, Value};

use super::{
    Tools,
    call::CallScope,
    config::ToolConfig,
    encoded::Encoded,
    follow_up::{self, FollowUpPosition},
    had_messages::HadMessages,
    offer::{Offer, Offers},
    release_choice::release_choice,
    running_calls::{CallRecord, RunningCalls},
    unique_ids::UniqueIds,
    usage_sum::UsageSum,
};
use crate::{
    chat::{
        ChatEvent, ChatRequest, Complete, Content, ConversationState, FinishReason, Media, Message,
        ProviderError, ProviderStateEvent, Role, SeamCheck, StateOf, Text, ToolCall, ToolCalls,
        ToolRuns, Transcript, TurnEnd, Usage,
    },
    log::ErrorCode,
};

/// The state of an answer with tools: the next request to the model, and the running tools. It
/// holds no provider.
pub(super) struct Conversation {
    pub(super) config: Arc<ToolConfig>,
    // The tools of this answer.
    pub(super) tools: Tools,
    // The next request to the model, with the messages that the model hasn't had.
    pub(super) request: ChatRequest,
    // The messages before those.
    history: HadMessages,
    // Its further fields.
    extra: Encoded<Map<String, Value>>,
    pub(super) offers: Offers,
    pub(super) scope: Arc<CallScope>,
    pub(super) runs: ToolRuns,
    // The interrupted answer that this one continues.
    pub(super) before: Option<Arc<Transcript>>,
    // The turn in which that answer was interrupted.
    partial: Option<Arc<Transcript>>,
    // Until the first text that is added to that turn is judged: what it repeats isn't in the history.
    pub(super) seam: Option<Box<SeamCheck>>,
    stage: ConversationStage,
    /// True if the model's stream of before is read on.
    reads_on: bool,
    turns: usize,
    content: Content,
    pub(super) calls: Vec<ToolCall>,
    // The events of these calls, until the turn is known to be whole.
    held: Vec<ChatEvent>,
    emitted_text: bool,
    ids: Option<UniqueIds>,
    turn_end: Option<TurnEnd>,
    pub(super) usage: UsageSum,
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
    /// Pass it on when the turn has ended, if it is whole then.
    Hold,
    /// The turn has ended with calls: run the tools.
    RunTools,
    /// It was the last event: send the closing events.
    Close,
}

impl Conversation {
    pub(super) fn new(config: Arc<ToolConfig>, mut request: ChatRequest) -> Self {
        let tools = config.current_tools();
        let offers = Offers::of(&tools, &mut request);
        #[cfg(feature = "unbroken-upstream")]
        {
            request.runs_calls = true;
        }
        let mut outputs = std::mem::take(&mut request.isomorphic_client_outputs);
        let runs = std::mem::take(&mut request.runs);
        let extra = Encoded::new(std::mem::take(&mut request.extra));
        let reads_on = request.reads_on();
        let before = request.so_far.take();
        if let Some(before) = &before
            && !before.text().is_empty()
            && request.messages.last() == Some(&Message::assistant(before.said()))
        {
            // Added again below, turn by turn.
            request.messages.pop();
        }
        let usage = before.as_ref().and_then(|before| before.usage());
        let usage = UsageSum::new(usage, request.turn_usage.clone());
        let mut this = Self {
            scope: Arc::new(CallScope {
                session_id: request.session_id.clone(),
                owner: request.owner.clone(),
                chat_id: request.chat_id.clone(),
                extensions: request.extensions.clone(),
                inputs: request.inputs.clone(),
                input_timeout: config.input_timeout,
            }),
            runs: ToolRuns::clone(&runs),
            emitted_text: before.as_ref().is_some_and(|it| !it.text().is_empty()),
            config,
            tools,
            request,
            history: HadMessages::default(),
            extra,
            offers,
            before,
            partial: None,
            seam: None,
            stage: ConversationStage::Model,
            reads_on,
            turns: 0,
            content: Content::new(),
            calls: Vec::new(),
            held: Vec::new(),
            ids: None,
            turn_end: None,
            usage,
            closing: VecDeque::new(),
        };
        if outputs.is_empty() || this.is_read_whole() {
            this.resume();
        } else {
            let mut position = follow_up::locate(&mut this.request.messages, &mut outputs);
            let after = this.request.messages.split_off(position.at);
            let before = std::mem::replace(&mut this.request.messages, after);
            this.history.extend(before);
            position.at = 0;
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
        self.usage.begin();
        let new = std::mem::take(&mut self.request.messages);
        let mut request = self.request.clone();
        request.messages = self.history.messages();
        request.messages.extend_from_slice(&new);
        self.history.extend(new);
        request.extra = self.extra.decode();
        request.reattach &= self.partial.is_some();
        if self.turns > 1
            || request
                .messages
                .last()
                .is_some_and(|it| it.role == Role::Tool)
        {
            release_choice(&mut request.options.tool_choice);
        }
        // Only the turn that was interrupted can be read on.
        self.request.reattach = false;
        if let Some(partial) = self.partial.take() {
            if !request.reattach && !partial.text().is_empty() {
                request.messages.push(Message::assistant(partial.said()));
            }
            request.so_far = Some(partial);
        }
        self.seam = SeamCheck::of(&request);
        request
    }

    /// Adds a piece of the model's text.
    #[inline]
    pub(super) fn push_text(&mut self, text: &Text) {
        self.content.push_text(&text.content);
    }

    /// Adds another event of the model.
    pub(super) fn push(&mut self, event: &mut ChatEvent) -> EventAction {
        match event {
            ChatEvent::Text(text) => {
                self.push_text(text);
                EventAction::Pass
            }
            ChatEvent::Thinking(thinking) => {
                self.content.push_reasoning(&thinking.content);
                EventAction::Pass
            }
            ChatEvent::Media(media) => {
                self.content.push(Media::clone(media));
                EventAction::Pass
            }
            ChatEvent::ProviderState(state) => {
                self.push_state(state);
                self.after_calls(event)
            }
            ChatEvent::ToolInput(input) => {
                input.id = self.ids().announce(std::mem::take(&mut input.id));
                EventAction::Pass
            }
            ChatEvent::ToolCalls(calls) => {
                for call in &mut calls.calls {
                    call.limit_depth();
                    call.id = self.ids().assign(std::mem::take(&mut call.id));
                }
                self.calls.extend_from_slice(&calls.calls);
                self.mark(calls);
                self.held.push(event.clone());
                EventAction::Hold
            }
            ChatEvent::Turn(end) => {
                self.usage.end_turn(end, !self.held.is_empty());
                self.turn_end = Some(TurnEnd::clone(end));
                self.after_calls(event)
            }
            ChatEvent::Complete(complete) => self.complete(complete),
            _ => EventAction::Pass,
        }
    }

    /// Returns true if the model has asked for tools in this turn.
    pub(super) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Handles a stream of the model that ended without a terminal event. If it ended its turn, that tells
    /// whether the calls are whole.
    pub(super) fn end(&mut self) -> EventAction {
        if let Some(end) = &self.turn_end {
            let mut complete = Complete::new().finish_reason(end.finish_reason.clone());
            let action = self.complete(&mut complete);
            if matches!(action, EventAction::Pass) {
                self.closing.push_back(complete.into());
            }
            return action;
        }
        let usage = self.usage.end_call(None);
        if self.has_calls() {
            self.end_turn(FinishReason::ToolCalls, usage);
            return EventAction::RunTools;
        }
        if let Some(usage) = self.usage.take() {
            let complete = Complete::new().usage(usage);
            self.closing.push_back(complete.into());
        }
        EventAction::Close
    }

    /// Returns the next closing event.
    pub(super) fn closing(&mut self) -> Option<ChatEvent> {
        self.closing.pop_front()
    }

    pub(super) fn is_handed_over(&self) -> bool {
        matches!(self.stage, ConversationStage::HandedOver)
    }

    /// Ends the turn of the calls, which the model didn't.
    fn end_turn(&mut self, reason: FinishReason, usage: Option<Usage>) {
        let mut end = TurnEnd::new(reason);
        end.usage.clone_from(&usage);
        self.usage.hold(usage);
        self.held.push(end.into());
    }

    fn complete(&mut self, complete: &mut Complete) -> EventAction {
        let turn_end = self.turn_end.take();
        let usage = self.usage.end_call(complete.usage.take());
        if self.has_calls() && !complete.finish_reason.is_whole() {
            let reason = &complete.finish_reason;
            tracing::warn!(%reason, "the model's calls are dropped: its turn isn't whole");
            self.calls.clear();
            let ends = self.held.drain(..);
            let ends = ends.filter(|event| matches!(event, ChatEvent::Turn(_)));
            self.closing.extend(ends);
        }
        // A model that doesn't stream sends the whole text at the end of its turn.
        let whole = complete
            .text
            .take_if(|_| self.emitted_text || self.has_calls());
        let is_silent = self.content.to_text().is_empty();
        if let Some(text) = whole.filter(|text| is_silent && !text.is_empty()) {
            self.content.push_text(&text);
            self.closing.push_back(ChatEvent::text(text));
        }
        if self.has_calls() && turn_end.is_none() {
            let reason = match &complete.finish_reason {
                FinishReason::Stop => FinishReason::ToolCalls,
                reason => reason.clone(),
            };
            self.end_turn(reason, usage);
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

    fn ids(&mut self) -> &mut UniqueIds {
        self.ids.get_or_insert_with(|| {
            let (had, new) = (self.history.messages(), &self.request.messages);
            let messages = had.iter().chain(new);
            let asked = messages.flat_map(|it| it.tool_calls.iter());
            let before = self.before.iter().flat_map(|it| it.tool_calls().iter());
            let ids = asked.chain(before).map(|call| &*call.id);
            let void = self.runs.void_ids(self.reads_on);
            UniqueIds::new(ids.chain(void).map(str::to_owned))
        })
    }

    /// Keeps the order of an event that belongs after calls that are held.
    fn after_calls(&mut self, event: &ChatEvent) -> EventAction {
        if self.held.is_empty() {
            return EventAction::Pass;
        }
        self.held.push(event.clone());
        EventAction::Hold
    }

    /// Keeps what the provider must be handed back with the turn or with a call.
    fn push_state(&mut self, event: &mut ProviderStateEvent) {
        match &mut event.of {
            StateOf::Turn => self.content.push_provider_state(event.state.clone()),
            StateOf::Call(id) => {
                if let Some(given) = self.ids.as_ref().and_then(|ids| ids.given(id)) {
                    given.clone_into(id);
                }
                if let Some(call) = self.calls.iter_mut().rfind(|call| call.id == *id) {
                    call.provider_state = Some(event.state.clone());
                }
            }
            StateOf::Stream => {}
        }
    }

    /// Starts the tools of the turn, which is whole. The events of its calls come first.
    ///
    /// # Errors
    ///
    /// If the model has been called the maximum number of times.
    pub(super) fn begin_tools(&mut self) -> Result<(), ProviderError> {
        let all_the_clients = || {
            let mut offers = self.calls.iter().map(|call| self.offers.get(&call.name));
            offers.all(|offer| offer.is_some_and(Offer::is_client_tool))
        };
        if !all_the_clients()
            && let Err(error) = self.may_ask()
        {
            // Its end is among the events that are held.
            return Err(match self.usage.held() {
                Some(usage) => error.with_usage(usage),
                None => error,
            });
        }
        ToolCalls::keep_together(&mut self.held);
        self.closing.extend(self.held.drain(..));
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
        let content = std::mem::take(&mut self.content);
        let calls = std::mem::take(&mut self.calls);
        if let Some(ids) = &mut self.ids {
            ids.end_turn();
        }
        self.emitted_text |= !content.to_text().is_empty();
        if calls_run.iter().any(|call| call.handed_over) {
            return self.hand_over(content, calls, &calls_run);
        }
        let turn = Message::assistant(content).tool_calls(calls);
        self.request.messages.push(turn);
        let results = calls_run.into_iter().filter_map(|call| call.message);
        self.request.messages.extend(results);
    }

    fn hand_over(&mut self, content: Content, calls: Vec<ToolCall>, calls_run: &[CallRecord]) {
        self.stage = ConversationStage::HandedOver;
        // System messages are not for clients, and clients may not send them.
        let had = self.history.messages().into_iter();
        let messages = had.chain(self.request.messages.iter().cloned());
        let messages = messages.filter(|message| message.role != Role::System);
        let mut state = ConversationState::new(messages);
        state.assistant_content = content;
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
}
