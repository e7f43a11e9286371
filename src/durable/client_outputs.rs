//! Verifies the outputs that a client gives for calls: they count for calls that a session of this client
//! handed over, once.
//!
//! # Once
//!
//! A session that takes the outputs of another names it in its first record (`continues`), and takes them by
//! a [reservation](FollowUp) in the store. So they count once on any servers, also after the session that
//! took them was deleted.

use std::collections::HashSet;

use super::{
    caller::Caller,
    client_fields::outputs_begin,
    follow_up::{FollowUp, digest_of_taker, follow_up_id, given_before},
    handed_turn::{HandedOver, HandedTurn, LogPages},
    refusals,
};
use crate::{
    access::{Action, SessionRef},
    chat::ChatRequest,
    dialect::{Problem, Refusal, SessionNaming, Start},
    log::{Digest, Outcome, SessionId},
    session::Session,
    store::{Listed, SessionState, StoreError},
};

/// The field of `session_info` with the session whose calls this one answers.
pub(super) const CONTINUES: &str = "continues";
/// The field of `session_info` with the ids of the calls that only the client claims were handed over.
pub(super) const CLAIMS: &str = "claims";

/// The number of a chat's newest sessions that may have handed the calls over, and of sessions that followed
/// the one that the client names.
const SEARCHED: usize = 16;
/// The number of a chat's newest sessions among which one that took the outputs and failed is looked for.
const LISTED: usize = 64;
/// The most pages of logs that are read for one request.
const PAGES: usize = 32;

/// The most follow-ups of one session that failed and gave the outputs back.
const TRIES: u32 = 16;

/// The result of a verification.
pub(super) enum Verified {
    /// The start may go on; it has no outputs but those that the log or the application allows.
    Start(Option<FollowUp>),
    /// This session was started by a request with these bytes.
    Repeated(Session),
}

/// The calls that a request gives outputs for.
struct GivenCalls {
    /// Of `isomorphicClientOutputs`: they must have been handed over.
    handed: HashSet<String>,
    /// Of the messages of the role `tool` at the end: outcomes of server tools may be among them.
    known: HashSet<String>,
}

/// The verification of one start.
pub(super) struct ClientOutputs<'a> {
    caller: &'a Caller,
    pages: LogPages<'a>,
}

impl<'a> ClientOutputs<'a> {
    pub(super) const fn new(caller: &'a Caller) -> Self {
        Self {
            caller,
            pages: LogPages::new(caller, PAGES),
        }
    }

    /// Verifies the outputs of a start, and puts the turn of the log into its request.
    ///
    /// # Errors
    ///
    /// Refused if no log has the calls and the application doesn't open that, if the outputs were given
    /// before, or if the answer that handed the calls over still runs.
    pub(super) async fn verify(
        mut self,
        start: &mut Start,
        digest: Digest,
    ) -> Result<Verified, Refusal> {
        let mut seen = HashSet::new();
        let outputs = &mut start.request.isomorphic_client_outputs;
        outputs.retain(|output| seen.insert(output.call_id.clone()));
        for output in outputs {
            output.claimed = false;
        }
        let given = GivenCalls::of(&start.request);
        if given.is_empty() {
            return Ok(Verified::Start(None));
        }
        let own_id = match &start.naming {
            SessionNaming::Client(id) => Some(id.clone()),
            _ => None,
        };
        if let Some(id) = &own_id
            && self.caller.existing(id, digest).await?.is_some()
        {
            return Ok(Verified::Start(None)); // it attaches
        }
        // The body of a client that names a session is known to no other.
        let may_attach = own_id.is_none() && (self.may_search(start) || start.continues.is_some());
        let sessions = self.sessions(start).await?;
        if may_attach && let Some(session) = self.repeated(&sessions, digest).await? {
            return Ok(Verified::Repeated(session));
        }
        let Some(found) = self.find(&given, start, &sessions).await? else {
            self.claim(&given, start)?;
            return Ok(Verified::Start(None));
        };
        let turn = &found.turn;
        check_names(&start.request, turn)?;
        if start.request.messages.len() == given.known.len() && !turn.has_conversation() {
            return Err(wrong(
                "the log doesn't hold the conversation before these outputs; send `messages` too",
            ));
        }
        let handed: HashSet<_> = given.all().filter(|call| turn.handed(call)).collect();
        if handed.is_empty() {
            // Outcomes of server tools, sent back after an answer that failed.
            self.put(turn, start)?;
            return Ok(Verified::Start(None));
        }
        if own_id.is_some() && start.chat.is_none() {
            return Err(wrong(
                "outputs under an id of your own need the chat that they belong to: send `chatId`, or \
                 leave the id out",
            ));
        }
        let follow_up = self
            .follow_up(&found, &handed, start, digest, &sessions)
            .await?;
        self.put(turn, start)?;
        let session = found.session.as_str();
        start.notes.insert(CONTINUES.to_owned(), session.into());
        Ok(Verified::Start(Some(follow_up)))
    }

    fn put(&self, turn: &HandedTurn, start: &mut Start) -> Result<(), Refusal> {
        let limits = &self.caller.config.request_limits;
        turn.put_into(&mut start.request, start.values, limits)
    }

    /// Returns the caller's newest sessions of the chat.
    async fn sessions(&self, start: &Start) -> Result<Vec<Listed>, Refusal> {
        let Some(chat) = &start.chat else {
            return Ok(Vec::new());
        };
        let owner = self.caller.owner.as_ref();
        let listed = self.caller.sessions().of_chat(owner, chat, LISTED).await;
        listed.map_err(|error| refusals::store(&error))
    }

    /// Returns true if the chat's name leads to its sessions.
    fn may_search(&self, start: &Start) -> bool {
        let chat = start.chat.as_ref();
        chat.is_some_and(|chat| self.caller.may_find_by(chat).is_ok())
    }

    /// Returns the session that the same request has started, unless it failed.
    async fn repeated(
        &self,
        sessions: &[Listed],
        digest: Digest,
    ) -> Result<Option<Session>, Refusal> {
        let is_same = |it: &&Listed| it.state.meta.digest == digest && !has_failed(&it.state);
        match sessions.iter().find(is_same) {
            Some(same) => self.caller.existing(&same.id, digest).await,
            None => Ok(None),
        }
    }

    /// Finds the session whose log has the calls: the one that the client names, those that followed it,
    /// then those of the chat.
    async fn find(
        &mut self,
        given: &GivenCalls,
        start: &Start,
        sessions: &[Listed],
    ) -> Result<Option<HandedOver>, Refusal> {
        let mut candidates = match &start.continues {
            // However many sessions of the chat are newer.
            Some(named) => self.named(named, start.naming.prefix()).await?,
            None => Vec::new(),
        };
        if self.may_search(start) {
            let named: HashSet<_> = candidates.iter().map(|it| it.id.clone()).collect();
            let others = sessions.iter().filter(|it| !named.contains(&it.id));
            candidates.extend(others.take(SEARCHED).cloned());
        }
        for Listed { id, state } in candidates {
            let meta = &state.meta;
            let session = SessionRef::new(&id, meta.owner.as_ref(), meta.chat.as_ref());
            if meta.owner != self.caller.owner
                || meta.chat != start.chat
                || !self.caller.is_allowed(Action::Read, Some(session)).await
            {
                continue;
            }
            let (handed, known) = (&given.handed, &given.known);
            let turn = HandedTurn::read(&mut self.pages, &id, &state, handed, known).await?;
            let Some(turn) = turn else { continue };
            let hands_over = given.all().any(|call| turn.handed(&call));
            if hands_over && state.status.outcome().is_none() {
                return Err(refusals::chat_busy());
            }
            if hands_over && !turn.is_complete() {
                continue;
            }
            return Ok(Some(HandedOver { session: id, turn }));
        }
        Ok(None)
    }

    /// Returns a session that the client names, and those that followed it one after the other, whose ids
    /// have this prefix and were not chosen by clients.
    async fn named(&self, named: &SessionId, prefix: &'static str) -> Result<Vec<Listed>, Refusal> {
        let (mut found, mut next) = (Vec::new(), named.clone());
        while found.len() < SEARCHED {
            let state = match self.caller.sessions().state(&next).await {
                Ok(state) => state,
                Err(StoreError::NotFound | StoreError::Gone(_)) => break,
                Err(error) => return Err(refusals::store(&error)),
            };
            // Another owner's counts as absent, also by the time that it takes.
            if state.meta.owner != self.caller.owner {
                break;
            }
            let follower = follow_up_id(self.caller, &next, prefix, 0);
            found.push(Listed { id: next, state });
            next = follower;
        }
        Ok(found)
    }

    /// Names the session that takes the outputs of this turn, and finds its right to them.
    ///
    /// # Errors
    ///
    /// Refused if another session took them before. One that failed has given them back, unless the second
    /// half of a tool may have run.
    async fn follow_up(
        &mut self,
        found: &HandedOver,
        handed: &HashSet<String>,
        start: &mut Start,
        digest: Digest,
        listed: &[Listed],
    ) -> Result<FollowUp, Refusal> {
        let concluding: HashSet<_> = handed
            .iter()
            .filter(|call| found.turn.concludes(call))
            .cloned()
            .collect();
        let (caller, prefix) = (self.caller, start.naming.prefix());
        for count in 0..TRIES {
            let (own, derived) = match &start.naming {
                SessionNaming::Client(id) => (id.clone(), false),
                _ => (follow_up_id(caller, &found.session, prefix, count), true),
            };
            let owner = caller.owner.as_ref();
            let follow_up = FollowUp::new(&found.session, owner, count, &own).derived(derived);
            let is_free = match follow_up.taken(caller.registry()).await? {
                None => true,
                Some(taker) => {
                    let mut known = std::iter::once(&own).chain(listed.iter().map(|it| &it.id));
                    let taker = known.find(|id| digest_of_taker(id) == taker);
                    match taker {
                        Some(id) if self.gave_back(id, &concluding).await? => continue,
                        Some(id) => *id == own && self.may_be(id, digest).await?,
                        None => false,
                    }
                }
            };
            if !is_free {
                break;
            }
            if derived {
                start.naming = SessionNaming::Client(own);
            }
            return Ok(follow_up);
        }
        Err(given_before())
    }

    /// Returns true if a session that took outputs has failed, and no second half of these calls can have run
    /// in it.
    async fn gave_back(
        &mut self,
        taker: &SessionId,
        concluding: &HashSet<String>,
    ) -> Result<bool, Refusal> {
        let state = match self.caller.sessions().state(taker).await {
            Ok(state) => state,
            Err(StoreError::NotFound | StoreError::Gone(_)) => return Ok(false),
            Err(error) => return Err(refusals::store(&error)),
        };
        if !has_failed(&state) {
            return Ok(false);
        }
        if concluding.is_empty() {
            return Ok(true);
        }
        let ran = HandedTurn::may_have_run(&mut self.pages, taker, state.tail, concluding);
        Ok(!ran.await?)
    }

    /// Returns true if the session is of this request, or if its start was cut before it was created.
    async fn may_be(&self, id: &SessionId, digest: Digest) -> Result<bool, Refusal> {
        match self.caller.sessions().state(id).await {
            Ok(state) => Ok(state.meta.digest == digest),
            Err(StoreError::NotFound) => Ok(true),
            Err(StoreError::Gone(_)) => Ok(false),
            Err(error) => Err(refusals::store(&error)),
        }
    }

    /// Marks outputs that no log confirms, if the application opens them.
    fn claim(&self, given: &GivenCalls, start: &mut Start) -> Result<(), Refusal> {
        let request = &mut start.request;
        let Some(most) = self.caller.config.client_fields.unverified_bytes() else {
            let call = given.all().next().unwrap_or_default();
            return Err(not_open(format!(
                "no session of this chat has handed the call `{}` to you: answer calls of an \
                 `isomorphic_handoff` event, in their chat or with `continues` as the id of their \
                 session, while it is retained (the application opens other outputs with \
                 `ClientFields::unverified_outputs`)",
                call.escape_debug()
            )));
        };
        let outputs = request.isomorphic_client_outputs.iter();
        let outputs = outputs.map(|output| crate::chat::json_bytes(&output.client_output));
        let messages = &request.messages[outputs_begin(&request.messages)..];
        let messages = messages.iter().map(|message| message.content.bytes());
        let bytes: usize = outputs.chain(messages).sum();
        if bytes > most {
            return Err(not_open(format!(
                "outputs of calls that no log confirms have {bytes} bytes, and {most} are open to \
                 clients; send less"
            )));
        }
        for output in &mut request.isomorphic_client_outputs {
            output.claimed = true;
            output.cached_handoff = None;
            output.uses_handoff = false;
        }
        let mut claims: Vec<_> = given.all().collect();
        claims.sort_unstable();
        start.notes.insert(CLAIMS.to_owned(), claims.into());
        Ok(())
    }
}

impl GivenCalls {
    fn of(request: &ChatRequest) -> Self {
        let outputs = request.isomorphic_client_outputs.iter();
        let handed: HashSet<_> = outputs.map(|output| output.call_id.clone()).collect();
        let messages = request.messages[outputs_begin(&request.messages)..].iter();
        let known = messages.map(|message| message.tool_call_id.clone().unwrap_or_default());
        Self {
            known: known.collect(),
            handed,
        }
    }

    fn is_empty(&self) -> bool {
        self.handed.is_empty() && self.known.is_empty()
    }

    fn all(&self) -> impl Iterator<Item = String> {
        self.handed.union(&self.known).cloned()
    }
}

/// Refuses an output that names another tool than the log.
fn check_names(request: &ChatRequest, turn: &HandedTurn) -> Result<(), Refusal> {
    let mut outputs = request.isomorphic_client_outputs.iter();
    let other = outputs.find(|it| turn.tool(&it.call_id) != Some(&it.tool_name));
    match other {
        Some(output) => Err(wrong(&format!(
            "the call `{}` was not handed over for the tool `{}`; send the `toolName` of its \
             `isomorphic_handoff` event",
            output.call_id.escape_debug(),
            output.tool_name.escape_debug()
        ))),
        None => Ok(()),
    }
}

fn has_failed(state: &SessionState) -> bool {
    let outcome = state.status.outcome();
    outcome.is_some_and(|outcome| outcome != Outcome::Complete)
}

fn wrong(detail: &str) -> Refusal {
    Refusal::new(Problem::WrongShape, detail.to_owned())
}

fn not_open(detail: String) -> Refusal {
    Refusal::new(Problem::NotOpen, detail)
}
