use std::{sync::Arc, time::Duration};

use crate::{
    log::{Chunk, Epoch, EpochTag, Lsn, Position, Status},
    store::{
        AbortRequest, AfterAppend, Appended, Created, DeleteMode, Holder, Lease, LeaseChange,
        NewSession, SessionMeta, SessionState, StoreError, StoredAnswer, Token, Tombstone,
        machine::{
            answers::{AnswerEffect, AnswerLog},
            lease::LeaseTerm,
            retention::{Presence, RetentionState},
        },
    },
};

/// One session, from its creation to the end of its tombstone.
#[derive(Debug, Clone)]
pub struct SessionMachine {
    pub(super) info: Arc<SessionMeta>,
    pub(super) created: Duration,
    // Of the call that made the epoch.
    pub(super) token: Token,
    pub(super) epoch: Epoch,
    pub(super) attempts: u32,
    pub(super) tail: Lsn,
    // Who wrote the record at the tail; means nothing while the log is empty.
    pub(super) tail_epoch: Epoch,
    pub(super) status: Status,
    pub(super) abort: Option<AbortRequest>,
    pub(super) answers: AnswerLog,
    pub(super) held: LeaseTerm,
    pub(super) retention: RetentionState,
}

/// What an append came to.
#[derive(Debug)]
pub struct AppendEffect {
    /// Whether the records are to be added; if not, they are there already.
    pub fresh: bool,
    /// What the writer is told.
    pub answer: Appended,
}

impl SessionMachine {
    /// A new session, which its creator owns.
    pub fn new(new: &NewSession, now: Duration) -> Self {
        let epoch = Epoch::first();
        Self {
            info: new.info.clone(),
            created: now,
            token: new.token,
            epoch,
            attempts: 0,
            tail: Lsn::ZERO,
            tail_epoch: epoch,
            status: Status::Streaming,
            abort: None,
            answers: AnswerLog::default(),
            held: LeaseTerm::new(new.lease, now),
            retention: RetentionState::new(new.tombstone),
        }
    }

    /// What somebody gets who would create a session under this id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] under a tombstone; [`StoreError::NotFound`] if the id is free again.
    pub fn create(&self, token: Token, now: Duration) -> Result<Created, StoreError> {
        self.check_present(now)?;
        let repeated = token == self.token && self.attempts == 0;
        Ok(if repeated {
            Created::Created(self.epoch)
        } else {
            Created::Exists(self.state(now))
        })
    }

    /// Takes over.
    pub fn claim(
        &mut self,
        seen: Epoch,
        token: Token,
        lease: Duration,
        now: Duration,
    ) -> Result<Epoch, StoreError> {
        self.check_present(now)?;
        self.readable()?;
        if self.is_sealed() {
            return Err(StoreError::Sealed);
        }
        if token == self.token && self.attempts > 0 {
            return Ok(self.epoch);
        }
        let moved = seen != self.epoch;
        let owned = !self.held.at(now).is_over();
        if moved || owned {
            return Err(StoreError::Held);
        }
        self.token = token;
        self.held = LeaseTerm::new(lease, now);
        self.epoch = self.epoch.succeed();
        self.attempts = self.attempts.saturating_add(1);
        Ok(self.epoch)
    }

    /// Extends the lease, or gives it back.
    pub fn renew(
        &mut self,
        epoch: Epoch,
        lease: LeaseChange,
        now: Duration,
    ) -> Result<(), StoreError> {
        self.check_present(now)?;
        if epoch != self.epoch {
            return Err(StoreError::Fenced);
        }
        if self.is_sealed() {
            return Err(StoreError::Sealed);
        }
        self.held = LeaseTerm::new(lease.length(), now);
        Ok(())
    }

    /// Takes note of the chunk, or of nothing at all if there is an error. `max_bytes` is what the
    /// engine can take.
    pub fn append(
        &mut self,
        chunk: &Chunk,
        then: AfterAppend,
        max_bytes: usize,
        now: Duration,
    ) -> Result<AppendEffect, StoreError> {
        self.check_present(now)?;
        let duplicate = self.tail == chunk.last() && self.tail_epoch == chunk.epoch();
        if duplicate {
            return Ok(self.written(false));
        }
        self.may_append(chunk, max_bytes)?;
        self.tail = chunk.last();
        self.tail_epoch = chunk.epoch();
        self.held.extend(now);
        match then {
            AfterAppend::Streaming => self.status = Status::Streaming,
            AfterAppend::Waiting => self.status = Status::Waiting,
            AfterAppend::Seal(seal) => {
                self.status = Status::Ended(seal.outcome);
                self.answers = AnswerLog::default();
                self.retention.keep(now.saturating_add(seal.keep));
            }
        }
        Ok(self.written(true))
    }

    fn may_append(&self, chunk: &Chunk, max_bytes: usize) -> Result<(), StoreError> {
        let (tail, next) = (self.tail, self.tail.next());
        if chunk.epoch() != self.epoch {
            return Err(StoreError::Fenced);
        }
        if self.is_sealed() {
            return Err(StoreError::Sealed);
        }
        if chunk.first() > next {
            return Err(StoreError::Rewound { tail });
        }
        if chunk.first() < next {
            return Err(StoreError::Conflict { tail });
        }
        if chunk.bytes() > max_bytes {
            return Err(StoreError::TooLarge { max: max_bytes });
        }
        Ok(())
    }

    fn written(&self, fresh: bool) -> AppendEffect {
        AppendEffect {
            fresh,
            answer: Appended {
                abort: self.abort.clone(),
            },
        }
    }

    /// Whether a reader that stands there can go on. `written_by` is the tag of the epoch that
    /// wrote the record at the position, if there is that record.
    pub fn check_read(
        &self,
        after: Position,
        written_by: impl FnOnce(Lsn) -> Option<EpochTag>,
        now: Duration,
    ) -> Result<(), StoreError> {
        self.check_present(now)?;
        self.readable()?;
        if after.lsn == Lsn::ZERO {
            return Ok(());
        }
        let rewound = match (written_by(after.lsn), after.tag) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(is), Some(was)) => is != was,
        };
        if rewound {
            Err(StoreError::Rewound { tail: self.tail })
        } else {
            Ok(())
        }
    }

    /// Where the session stands, for somebody who waits for its next change.
    pub fn observe(&self, now: Duration) -> Result<SessionState, StoreError> {
        self.check_present(now)?;
        self.readable()?;
        Ok(self.state(now))
    }

    /// Takes note of a wish to stop.
    pub fn abort(
        &mut self,
        abort: AbortRequest,
        now: Duration,
    ) -> Result<SessionState, StoreError> {
        self.check_present(now)?;
        if !self.is_sealed() && self.abort.is_none() {
            self.abort = Some(abort);
        }
        Ok(self.state(now))
    }

    /// Takes note of an answer, or of nothing at all if there is an error.
    pub fn answer(
        &mut self,
        answer: StoredAnswer,
        now: Duration,
    ) -> Result<AnswerEffect, StoreError> {
        self.check_present(now)?;
        let sealed = self.is_sealed();
        self.answers.take(answer, sealed)
    }

    /// The answers but for the first so many.
    pub fn answers_after(
        &self,
        count: usize,
        now: Duration,
    ) -> Result<Vec<StoredAnswer>, StoreError> {
        self.check_present(now)?;
        Ok(self.answers.after(count))
    }

    /// Keeps the session for at least so long from now.
    pub fn hold(&mut self, by: Holder, keep: Duration, now: Duration) -> Result<(), StoreError> {
        self.check_present(now)?;
        self.retention.hold(by, keep, now);
        Ok(())
    }

    /// Ends it all but for the tombstone; says whether anything changed.
    pub fn delete(&mut self, how: DeleteMode, now: Duration) -> Result<bool, StoreError> {
        match self.check_present(now) {
            Err(StoreError::Gone(_)) => return Ok(false),
            other => other?,
        }
        if self.retention.is_held(how, now) {
            return Err(StoreError::Held);
        }
        self.retention.delete(now);
        self.answers = AnswerLog::default();
        Ok(true)
    }

    /// Where the session stands, whether or not it is gone.
    pub fn state(&self, now: Duration) -> SessionState {
        SessionState {
            info: self.info.clone(),
            age: now.saturating_sub(self.created),
            epoch: self.epoch,
            attempts: self.attempts,
            tail: self.tail,
            status: self.status,
            abort: self.abort.clone(),
            lease: if self.is_sealed() {
                Lease::Free
            } else {
                self.held.at(now)
            },
            answers: u32::try_from(self.answers.len()).unwrap_or(u32::MAX),
        }
    }

    /// The last LSN.
    pub fn tail(&self) -> Lsn {
        self.tail
    }

    /// What the session is.
    pub fn info(&self) -> &Arc<SessionMeta> {
        &self.info
    }

    /// What was answered.
    pub fn answers(&self) -> &AnswerLog {
        &self.answers
    }

    /// The same session, with what was answered to it, unless it has ended or is gone.
    pub fn with_answers(mut self, answers: AnswerLog) -> Self {
        if !self.is_sealed() && self.retention.deleted.is_none() {
            self.answers = answers;
        }
        self
    }

    /// Whether nothing follows the last record.
    pub fn is_sealed(&self) -> bool {
        self.status.outcome().is_some()
    }

    /// Whether anybody may claim it.
    pub fn is_orphan(&self, now: Duration) -> bool {
        !self.is_sealed() && self.held.at(now).is_over() && self.check_present(now).is_ok()
    }

    /// When time alone next changes whether there is a session or a tombstone; `None` for a
    /// session that is neither sealed nor deleted.
    pub fn due(&self, now: Duration) -> Option<Duration> {
        self.retention.due(self.is_sealed(), now)
    }

    /// Whether there is a session.
    pub fn check_present(&self, now: Duration) -> Result<(), StoreError> {
        match self.retention.presence(self.is_sealed(), now) {
            Presence::Present => Ok(()),
            Presence::Nothing => Err(StoreError::NotFound),
            Presence::Tombstone => Err(StoreError::Gone(Tombstone {
                owner: self.info.owner.clone(),
                digest: self.info.digest,
            })),
        }
    }

    fn readable(&self) -> Result<(), StoreError> {
        match self.info.format {
            format if format > SessionMeta::LATEST_FORMAT => {
                Err(StoreError::Unsupported { format })
            }
            _ => Ok(()),
        }
    }
}
