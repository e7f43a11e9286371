use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Mutex as AsyncMutex;

use super::{caller::Caller, refusals};
use crate::{
    access::Action,
    chat::{ChatEvent, InputId, InputKind, InputOutcome, has_kind},
    dialect::Refusal,
    log::{Chunk, Lsn, Position, SessionId},
    session::Sessions,
    store::StoreError,
};

/// The most sessions whose questions are kept.
const SESSIONS: usize = 256;
/// The most questions that are kept of a session: the newest. It takes half as many answers.
const QUESTIONS: usize = 512;

/// The places of questions in the logs of sessions.
///
/// However many requests name a question, a record is read once for all of them, as long as its
/// session is among those that were asked about last.
#[derive(Debug, Default)]
pub(super) struct QuestionIndex {
    logs: Mutex<IndexedLogs>,
}

#[derive(Debug, Default)]
struct IndexedLogs {
    by_id: HashMap<SessionId, Arc<AsyncMutex<IndexedLog>>>,
    // The order in which they came.
    ids: VecDeque<SessionId>,
}

/// The questions of one log, up to a position.
#[derive(Debug)]
struct IndexedLog {
    at: Position,
    questions: HashMap<InputId, IndexedQuestion>,
    // The order in which they were asked.
    ids: VecDeque<InputId>,
}

/// The place of a question in a log, and its outcome.
#[derive(Debug, Clone)]
pub(super) struct IndexedQuestion {
    /// The position before its record.
    pub(super) before: Position,
    /// The position of its record.
    pub(super) at: Position,
    /// The outcome; `None` while the question is open.
    pub(super) outcome: Option<InputOutcome>,
    /// True if it asks for the approval of a call.
    is_approval: bool,
}

impl QuestionIndex {
    /// Returns those of these questions that the log has asked, up to `tail`.
    pub(super) async fn find<'a>(
        &self,
        sessions: &Sessions,
        id: &SessionId,
        tail: Lsn,
        inputs: impl IntoIterator<Item = &'a InputId>,
    ) -> Result<HashMap<InputId, IndexedQuestion>, StoreError> {
        let log = self.log(id);
        let mut log = log.lock().await;
        log.read(sessions, id, tail).await?;
        let found = inputs
            .into_iter()
            .filter_map(|input| log.questions.get_key_value(input));
        Ok(found
            .map(|(input, it)| (input.clone(), it.clone()))
            .collect())
    }

    /// Returns the questions of the log that are open, up to `tail`, in the order in which they were
    /// asked.
    pub(super) async fn open(
        &self,
        sessions: &Sessions,
        id: &SessionId,
        tail: Lsn,
    ) -> Result<Vec<InputId>, StoreError> {
        let log = self.log(id);
        let mut log = log.lock().await;
        log.read(sessions, id, tail).await?;
        let is_open = |input: &&InputId| log.questions[*input].outcome.is_none();
        Ok(log.ids.iter().filter(is_open).cloned().collect())
    }

    /// Returns true if all of these questions are open, and no other approval of a call is, up to `tail`.
    pub(super) async fn are_open(
        &self,
        sessions: &Sessions,
        id: &SessionId,
        tail: Lsn,
        questions: &HashSet<InputId>,
    ) -> Result<bool, StoreError> {
        let log = self.log(id);
        let mut log = log.lock().await;
        log.read(sessions, id, tail).await?;
        Ok(log.are_open(questions))
    }

    fn log(&self, id: &SessionId) -> Arc<AsyncMutex<IndexedLog>> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.by_id.get(id) {
            return log.clone();
        }
        if logs.ids.len() >= SESSIONS
            && let Some(oldest) = logs.ids.pop_front()
        {
            logs.by_id.remove(&oldest);
        }
        let log = Arc::new(AsyncMutex::new(IndexedLog::new()));
        logs.ids.push_back(id.clone());
        logs.by_id.insert(id.clone(), log.clone());
        log
    }
}

impl IndexedLog {
    fn new() -> Self {
        Self {
            at: Position::START,
            questions: HashMap::new(),
            ids: VecDeque::new(),
        }
    }

    /// Reads the records up to `tail` that it hasn't read. Cancel safe: a later call goes on.
    async fn read(
        &mut self,
        sessions: &Sessions,
        id: &SessionId,
        tail: Lsn,
    ) -> Result<(), StoreError> {
        while self.at.lsn < tail {
            let page = match sessions.page(id, self.at).await {
                Ok(page) => page,
                // The store has lost records, and the log is another one now.
                Err(StoreError::Rewound { .. }) if self.at != Position::START => {
                    *self = Self::new();
                    continue;
                }
                Err(error) => return Err(error),
            };
            if page.chunks.is_empty() {
                return Ok(());
            }
            for record in page.chunks.iter().flat_map(Chunk::records) {
                let at = Position::tagged(record.lsn, record.epoch.tag());
                if let Some(event) = input_event(record.bytes) {
                    self.push(event, at);
                }
                self.at = at;
            }
        }
        Ok(())
    }

    fn are_open(&self, questions: &HashSet<InputId>) -> bool {
        let is_open = |question: &IndexedQuestion| question.outcome.is_none();
        let mut named = questions.iter().map(|id| self.questions.get(id));
        let mut all = self.questions.iter();
        named.all(|question| question.is_some_and(is_open))
            && all.all(|(id, it)| !it.is_approval || !is_open(it) || questions.contains(id))
    }

    fn push(&mut self, event: ChatEvent, at: Position) {
        match event {
            ChatEvent::InputRequest(request) => {
                let question = IndexedQuestion {
                    before: self.at,
                    at,
                    outcome: None,
                    is_approval: request.kind == InputKind::Approval && request.call_id.is_some(),
                };
                let id = request.input_id.clone();
                if self.questions.insert(id.clone(), question).is_some() {
                    return;
                }
                if self.ids.len() >= QUESTIONS
                    && let Some(oldest) = self.ids.pop_front()
                {
                    self.questions.remove(&oldest);
                }
                self.ids.push_back(id);
            }
            ChatEvent::InputResolved(resolved) => {
                if let Some(question) = self.questions.get_mut(&resolved.input_id) {
                    question
                        .outcome
                        .get_or_insert_with(|| resolved.action.clone());
                }
            }
            ChatEvent::Restarted(_) => {
                self.questions.clear();
                self.ids.clear();
            }
            _ => {}
        }
    }
}

impl IndexedQuestion {
    /// Reads the event that asks the question.
    pub(super) async fn read(&self, caller: &Caller, id: &SessionId) -> Result<ChatEvent, Refusal> {
        let page = match caller.registry().page(id, self.before).await {
            Ok(page) => page,
            Err(error) => return Err(caller.absent(id, Action::Answer, &error).await),
        };
        let first = page.chunks.iter().flat_map(Chunk::records).next();
        let event = first.and_then(|record| input_event(record.bytes));
        event.ok_or_else(refusals::not_open)
    }
}

/// Decodes a record if it is an event about questions. Most records aren't, and aren't decoded.
fn input_event(record: &[u8]) -> Option<ChatEvent> {
    const KINDS: [&str; 3] = ["input_request", "input_resolved", "restarted"];
    let is_about_inputs = KINDS.iter().any(|kind| has_kind(record, kind));
    is_about_inputs
        .then(|| serde_json::from_slice(record).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{InputAction, InputRequest, InputResolved};

    fn ask(id: &InputId) -> ChatEvent {
        InputRequest::question(id.clone(), "Why?").into()
    }

    #[test]
    fn events_about_questions_are_recognised_by_the_first_bytes_of_a_record() {
        let id = InputId::random();
        for event in [
            ask(&id),
            InputResolved::new(id, InputAction::Accept).into(),
            ChatEvent::restarted("again"),
        ] {
            let record = event.to_json();
            assert_eq!(input_event(&record), Some(event));
        }
        let text = ChatEvent::text(r#"{"type":"input_request"}"#);
        assert_eq!(input_event(&text.to_json()), None);
    }

    #[test]
    fn the_newest_questions_of_a_log_are_kept_and_a_restart_drops_all() {
        let mut log = IndexedLog::new();
        let ids: Vec<_> = (0..=QUESTIONS).map(|_| InputId::random()).collect();
        for (lsn, id) in ids.iter().enumerate() {
            let at = Position::after(Lsn::new(lsn as u64 + 1));
            log.push(ask(id), at);
            log.at = at;
        }
        assert_eq!((log.questions.len(), log.ids.len()), (QUESTIONS, QUESTIONS));
        assert!(!log.questions.contains_key(&ids[0]));
        assert_eq!(log.questions[&ids[1]].before.lsn, Lsn::new(1));
        // Asked again: the last one counts, and is kept once.
        log.push(ask(&ids[1]), Position::after(Lsn::new(9_999)));
        assert_eq!(log.questions[&ids[1]].at.lsn, Lsn::new(9_999));
        assert_eq!(log.ids.len(), QUESTIONS);
        log.push(ChatEvent::restarted("again"), log.at);
        assert!(log.questions.is_empty() && log.ids.is_empty());
    }

    #[test]
    fn questions_are_open_if_all_are_and_no_other_approval_of_a_call_is() {
        let [a, b, c] = [(); 3].map(|()| InputId::random());
        let approval = |id: &InputId| -> ChatEvent {
            let asked = InputRequest::approval(id.clone(), "May I?");
            asked.tool_call("1", "pay", serde_json::json!({})).into()
        };
        let mut log = IndexedLog::new();
        let open = |log: &IndexedLog, shown: &[&InputId]| {
            log.are_open(&shown.iter().copied().cloned().collect())
        };
        log.push(approval(&a), Position::START);
        assert!(open(&log, &[&a]) && !open(&log, &[&b]) && !open(&log, &[&a, &b]));
        // A question that is no approval of a call is another part of a page.
        log.push(ask(&b), Position::START);
        let plain = InputRequest::approval(InputId::random(), "May I?");
        log.push(plain.into(), Position::START);
        assert!(open(&log, &[&a]) && open(&log, &[&a, &b]) && !open(&log, &[&b]));
        log.push(approval(&c), Position::START);
        assert!(open(&log, &[&a, &c]) && !open(&log, &[&a]) && !open(&log, &[&c]));
        let refused = InputResolved::new(a.clone(), InputAction::Decline);
        log.push(refused.into(), Position::START);
        assert!(open(&log, &[&c]) && !open(&log, &[&a, &c]) && !open(&log, &[&a]));
    }

    #[test]
    fn the_questions_of_a_bounded_number_of_sessions_are_kept() {
        let index = QuestionIndex::default();
        let first = SessionId::random();
        index.log(&first);
        for _ in 0..SESSIONS {
            index.log(&SessionId::random());
        }
        let logs = index.logs.lock().unwrap();
        assert_eq!((logs.by_id.len(), logs.ids.len()), (SESSIONS, SESSIONS));
        assert!(!logs.by_id.contains_key(&first));
    }
}
