//! Requests whose conversation the server keeps.

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    fmt, mem,
};

use serde_json::Value;

use super::{
    AiSdk, UiMessage,
    notes::MessageNotes,
    parts::{self, UiPart, kind, string},
    reduce::MessageReducer,
};
use crate::{
    chat::{ChatRequest, Message, Role},
    dialect::{ChatMessage, Problem, Recall, Refusal, Start},
    log::{Chunk, SessionId},
};

/// What a request names of its chat.
pub(super) struct UiRecall {
    /// The message of the request; `None` to answer a message of the chat again.
    pub(super) message: Option<UiMessage>,
    /// True if the request asks for another answer.
    pub(super) regenerates: bool,
    /// The message whose answer is to be another.
    pub(super) message_id: Option<String>,
    /// True if the request has no other messages.
    pub(super) is_needed: bool,
}

impl UiRecall {
    fn is_continued(&self, message: &UiMessage) -> bool {
        message.role == Role::Assistant && !self.regenerates
    }
}

impl Recall for UiRecall {
    fn is_needed(&self) -> bool {
        self.is_needed
    }

    fn narrow(&self, request: &mut ChatRequest) {
        request.messages = match &self.message {
            None => Vec::new(),
            Some(message) => {
                let (mut messages, _) = parts::last(message);
                if message.role == Role::Assistant {
                    messages.drain(..outputs_begin(&messages));
                }
                messages
            }
        };
    }

    fn recall(&self, chat: &[ChatMessage], start: &mut Start) -> Result<Vec<ChatMessage>, Refusal> {
        let chat: Vec<_> = chat.iter().map(read).collect::<Result<_, _>>()?;
        let mut added = Vec::new();
        let (before, asked) = match &self.message {
            None => self.named(&chat)?,
            Some(message) if message.id.is_empty() => {
                return Err(wrong(
                    "a message of a chat that this server keeps needs an `id`",
                ));
            }
            Some(message) if self.is_continued(message) => {
                let (before, asked, outcomes) = continued(&chat, message)?;
                added = outcomes;
                (before, asked)
            }
            Some(message) => self.new_or_edited(&chat, message)?,
        };
        let (messages, _) = parts::last(&asked);
        let before = before.iter().flat_map(parts::earlier);
        let given = mem::replace(
            &mut start.request.messages,
            before.chain(messages).collect(),
        );
        if asked.role == Role::Assistant {
            give_again(given, &asked, &mut start.request)?;
            check_outcomes(&added, &start.request)?;
            MessageNotes::continuing(&asked)?.put_into(start)?;
        }
        Ok(vec![asked.try_into().map_err(|error| unreadable(&error))?])
    }
}

impl UiRecall {
    /// Finds the message of the user that is to have another answer, as `regenerate` of the SDK does: the one
    /// that is named, or the one before the answer that is named, by default the last.
    fn named<'a>(&self, chat: &'a [UiMessage]) -> Result<(&'a [UiMessage], UiMessage), Refusal> {
        let at = match &self.message_id {
            Some(id) => find(chat, id)?,
            None => chat.len().saturating_sub(1),
        };
        let is_answer = chat.get(at).is_some_and(|it| it.role == Role::Assistant);
        let end = if is_answer { at } else { at + 1 };
        match chat.get(..end).and_then(<[_]>::split_last) {
            Some((asked, before)) if asked.role != Role::Assistant => Ok((before, asked.clone())),
            _ => Err(wrong("this chat has no message of the user to answer")),
        }
    }

    fn new_or_edited<'a>(
        &self,
        chat: &'a [UiMessage],
        message: &UiMessage,
    ) -> Result<(&'a [UiMessage], UiMessage), Refusal> {
        if message.role == Role::Assistant {
            return Err(wrong(
                "another answer is for a message of the user: send that as `message`, or none",
            ));
        }
        let Some(at) = chat.iter().position(|it| it.id == message.id) else {
            return Ok((chat, message.clone()));
        };
        if chat[at].role == Role::Assistant {
            return Err(wrong("the `id` of this message is that of an answer"));
        }
        let is_last = chat[at + 1..].iter().all(|it| it.role == Role::Assistant);
        let is_edit = self.regenerates || self.message_id.is_some();
        if !is_last && !is_edit && chat[at].parts == message.parts {
            return Err(Refusal::new(
                Problem::IdInUse,
                format!(
                    "this chat has the message `{}`, and others after it, which another answer would drop; load \
                     the chat again, or send its id as `messageId` to edit it",
                    message.id.escape_debug()
                ),
            ));
        }
        Ok((&chat[..at], message.clone()))
    }
}

/// Returns an answer of the chat, with what the client has added to it: outputs of tools that have none, and
/// responses to approvals. Of the rest the client is not believed. The ids of the calls that got one come last.
fn continued<'a>(
    chat: &'a [UiMessage],
    message: &UiMessage,
) -> Result<(&'a [UiMessage], UiMessage, Vec<String>), Refusal> {
    let at = find(chat, &message.id)?;
    let mut asked = chat[at].clone();
    if asked.role != Role::Assistant {
        return Err(wrong("the `id` of this answer is that of another message"));
    }
    let given = message.parts.iter();
    let mut given: HashMap<_, _> = given
        .filter(|part| part.contains_key("toolCallId"))
        .map(|part| (string(part, "toolCallId"), part))
        .collect();
    let mut added = Vec::new();
    // Of two calls with one id the later one is meant.
    for part in asked.parts.iter_mut().rev() {
        let id = string(part, "toolCallId").to_owned();
        if let Some(given) = given.remove(&*id).filter(|_| !id.is_empty())
            && take_outcome(part, given)
        {
            added.push(id);
        }
    }
    Ok((&chat[..at], asked, added))
}

/// Takes the outcome of a call from the client's part, if the kept part waits for it. Returns true if it did.
fn take_outcome(part: &mut UiPart, given: &UiPart) -> bool {
    if kind(part) != kind(given) {
        return false;
    }
    let fields: &[&str] = match (string(part, "state"), string(given, "state")) {
        ("input-available", "output-available") => &["state", "output"],
        ("input-available", "output-error") => &["state", "errorText"],
        ("approval-requested", "approval-responded")
            if approval(part).is_some() && approval(part) == approval(given) =>
        {
            &["state", "approval"]
        }
        _ => return false,
    };
    for field in fields {
        if let Some(value) = given.get(*field) {
            part.insert((*field).to_owned(), value.clone());
        }
    }
    true
}

/// Refuses an outcome that no log would be asked about: one that is neither an output for the second half of a
/// tool nor at the end of the conversation. Refuses also a request that has neither.
fn check_outcomes(added: &[String], request: &ChatRequest) -> Result<(), Refusal> {
    let messages = &request.messages;
    let outputs = messages[outputs_begin(messages)..].iter();
    let outputs = outputs.filter_map(|it| it.tool_call_id.as_deref());
    let halves = request.isomorphic_client_outputs.iter();
    let verified: HashSet<_> = outputs.chain(halves.map(|it| &*it.call_id)).collect();
    if let Some(call) = added.iter().find(|call| !verified.contains(call.as_str())) {
        return Err(Refusal::new(
            Problem::NotOpen,
            format!(
                "the call `{}` of this message waits for no output or approval from you; load the chat again",
                call.escape_debug()
            ),
        ));
    }
    if verified.is_empty() {
        return Err(Refusal::new(
            Problem::NotOpen,
            "an answer is continued by outputs for its last calls; send them, or a message of the user",
        ));
    }
    Ok(())
}

/// Adds the outputs for calls that have an outcome before the end of the answer: whether they may be given again
/// is up to the logs.
fn give_again(
    given: Vec<Message>,
    asked: &UiMessage,
    request: &mut ChatRequest,
) -> Result<(), Refusal> {
    let calls: HashSet<_> = parts::call_ids(asked)?.into_iter().collect();
    let messages = &mut request.messages;
    let outputs = messages[outputs_begin(messages)..].iter();
    let taken: HashSet<_> = outputs.filter_map(|it| it.tool_call_id.clone()).collect();
    for output in given {
        let call = output.tool_call_id.as_deref().unwrap_or_default();
        if !calls.contains(call) {
            return Err(Refusal::new(
                Problem::NotOpen,
                format!(
                    "the message `{}` of this chat has no call `{}`; answer calls that it has",
                    asked.id.escape_debug(),
                    call.escape_debug()
                ),
            ));
        }
        if !taken.contains(call) {
            messages.push(output);
        }
    }
    Ok(())
}

/// Returns the index of the first of the outputs at the end.
fn outputs_begin(messages: &[Message]) -> usize {
    let outputs = messages.iter().rev();
    messages.len() - outputs.take_while(|it| it.role == Role::Tool).count()
}

fn approval(part: &UiPart) -> Option<&Value> {
    part.get("approval")?.get("id")
}

fn find(chat: &[UiMessage], id: &str) -> Result<usize, Refusal> {
    let found = chat.iter().position(|it| it.id == id);
    found.ok_or_else(|| {
        wrong(&format!(
            "this chat has no message `{}`; load its messages again",
            id.escape_debug()
        ))
    })
}

/// Adds the answer of a session to the messages that it is for.
pub(super) fn answered(
    dialect: &AiSdk,
    session: &SessionId,
    mut asked: Vec<ChatMessage>,
    log: &[Chunk],
) -> Vec<ChatMessage> {
    let mut answer = UiMessage {
        id: session.as_str().to_owned(),
        role: Role::Assistant,
        parts: Vec::new(),
        metadata: None,
    };
    let last = asked.last().and_then(|message| read(message).ok());
    if let Some(continued) = last.filter(|message| message.role == Role::Assistant) {
        answer = continued;
        asked.pop();
    }
    let mut message = MessageReducer::of(answer.parts, answer.metadata);
    // The page knows which approvals it has given.
    let mut fold = dialect.fold().approval_responses(true);
    fold.name(&answer.id);
    for record in log.iter().flat_map(Chunk::records) {
        fold.push(&record, &mut message);
    }
    fold.close(&mut message);
    (answer.parts, answer.metadata) = (message.parts, message.metadata);
    asked.extend(ChatMessage::try_from(answer));
    asked
}

impl TryFrom<UiMessage> for ChatMessage {
    type Error = serde_json::Error;

    fn try_from(message: UiMessage) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(message)?)
    }
}

impl TryFrom<ChatMessage> for UiMessage {
    type Error = serde_json::Error;

    fn try_from(message: ChatMessage) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(message)?)
    }
}

fn read(message: &ChatMessage) -> Result<UiMessage, Refusal> {
    let read = UiMessage::try_from(message.clone());
    read.map_err(|error| unreadable(&error))
}

fn unreadable(error: &serde_json::Error) -> Refusal {
    tracing::error!(error = error as &dyn Error, "a message of a chat is none");
    Refusal::new(
        Problem::Internal,
        "a message of this chat can't be read; begin another chat",
    )
}

fn wrong(why: &str) -> Refusal {
    Refusal::new(Problem::WrongShape, why.to_owned())
}

/// Shows no content.
impl fmt::Debug for UiRecall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UiRecall")
            .field("message", &self.message.as_ref().map(|it| &it.id))
            .field("regenerates", &self.regenerates)
            .field("message_id", &self.message_id)
            .field("is_needed", &self.is_needed)
            .finish()
    }
}
