use std::{sync::Arc, time::Duration};

use super::{
    answers::{Answers, Judged},
    lease::Held,
    retention::{Presence, Retention},
};
use crate::{
    session::{
        Chunk, Epoch, EpochTag, Lsn, Position, Status,
        rule::{Rule, Rules},
    },
    store::{
        Abort, Answer, Appended, Created, Delete, Holder, Info, Lease, New, State, StoreError,
        Then, Token, Tombstone,
    },
};

/// One session, from its creation to the end of its tombstone.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(super) rules: Rules,
    pub(super) info: Arc<Info>,
    pub(super) created: Duration,
    // Of the call that made the epoch.
    pub(super) token: Token,
    pub(super) epoch: Epoch,
    pub(super) attempts: u32,
    pub(super) tail: Lsn,
    // Who wrote the record at the tail; means nothing while the log is empty.
    pub(super) tail_epoch: Epoch,
    pub(super) status: Status,
    pub(super) abort: Option<Abort>,
    pub(super) answers: Answers,
    pub(super) held: Held,
    pub(super) retention: Retention,
}

/// What an append came to.
#[derive(Debug)]
pub(crate) struct Written {
    /// Whether the records are to be added; if not, they are there already.
    pub(crate) fresh: bool,
    /// What the writer is told.
    pub(crate) answer: Appended,
}

impl Life {
    /// A new session, which its creator owns.
    pub(crate) fn new(new: &New, rules: Rules, now: Duration) -> Self {
        let epoch = Epoch::first();
        Self {
            rules,
            info: new.info.clone(),
            created: now,
            token: new.token,
            epoch,
            attempts: 0,
            tail: Lsn::ZERO,
            tail_epoch: epoch,
            status: Status::Streaming,
            abort: None,
            answers: Answers::default(),
            held: Held::new(new.lease, now),
            retention: Retention::new(new.tombstone),
        }
    }

    /// What somebody gets who would create a session under this id.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] under a tombstone; [`StoreError::NotFound`] if the id is free again.
    pub(crate) fn create_again(&self, token: Token, now: Duration) -> Result<Created, StoreError> {
        self.here(now)?;
        let repeated = token == self.token && self.attempts == 0;
        Ok(if repeated && self.rules.hold(Rule::CreateToken) {
            Created::Created(self.epoch)
        } else {
            Created::Exists(self.state(now))
        })
    }

    /// Takes over.
    pub(crate) fn claim(
        &mut self,
        seen: Epoch,
        token: Token,
        lease: Duration,
        now: Duration,
    ) -> Result<Epoch, StoreError> {
        self.here(now)?;
        self.readable()?;
        if self.is_sealed() && self.rules.hold(Rule::ClaimUnsealed) {
            return Err(StoreError::Sealed);
        }
        if token == self.token && self.attempts > 0 && self.rules.hold(Rule::ClaimToken) {
            return Ok(self.epoch);
        }
        let moved = seen != self.epoch && self.rules.hold(Rule::ClaimSeen);
        let owned = !self.held.at(now).is_over() && self.rules.hold(Rule::ClaimWaits);
        if moved || owned {
            return Err(StoreError::Held);
        }
        self.token = token;
        self.held = Held::new(lease, now);
        if self.rules.hold(Rule::ClaimFences) {
            self.epoch = self.epoch.succeed();
        }
        if self.rules.hold(Rule::ClaimCounts) {
            self.attempts = self.attempts.saturating_add(1);
        }
        Ok(self.epoch)
    }

    /// Extends the lease, or gives it back.
    pub(crate) fn renew(
        &mut self,
        epoch: Epoch,
        lease: Duration,
        now: Duration,
    ) -> Result<(), StoreError> {
        self.here(now)?;
        if epoch != self.epoch && self.rules.hold(Rule::RenewEpoch) {
            return Err(StoreError::Fenced);
        }
        if self.is_sealed() {
            return Err(StoreError::Sealed);
        }
        let rule = if lease.is_zero() {
            Rule::GiveBack
        } else {
            Rule::RenewExtends
        };
        if self.rules.hold(rule) {
            self.held = Held::new(lease, now);
        }
        Ok(())
    }

    /// Takes note of the chunk, or of nothing at all if there is an error. `max_bytes` is what the
    /// engine can take.
    pub(crate) fn append(
        &mut self,
        chunk: &Chunk,
        then: Then,
        max_bytes: usize,
        now: Duration,
    ) -> Result<Written, StoreError> {
        self.here(now)?;
        let duplicate = self.tail == chunk.last() && self.tail_epoch == chunk.epoch();
        if duplicate && self.rules.hold(Rule::AppendDuplicate) {
            return Ok(self.written(false));
        }
        self.may_append(chunk, max_bytes)?;
        if self.rules.hold(Rule::AppendTail) {
            self.tail = chunk.last();
        } else {
            self.tail = chunk.first();
        }
        self.tail_epoch = chunk.epoch();
        if self.rules.hold(Rule::AppendExtends) {
            self.held.extend(now);
        }
        match then {
            Then::Streaming => self.status = Status::Streaming,
            Then::Waiting if self.rules.hold(Rule::AppendWaiting) => self.status = Status::Waiting,
            Then::Waiting => {}
            Then::Seal(seal) => {
                self.status = Status::Ended(seal.outcome);
                if self.rules.hold(Rule::AnswersEnd) {
                    self.answers = Answers::default();
                }
                let keep = if self.rules.hold(Rule::ExpiryNotEarly) {
                    seal.keep
                } else {
                    seal.keep / 2
                };
                self.retention.keep(now.saturating_add(keep));
            }
        }
        Ok(self.written(true))
    }

    fn may_append(&self, chunk: &Chunk, max_bytes: usize) -> Result<(), StoreError> {
        let (tail, next) = (self.tail, self.tail.next());
        if chunk.epoch() != self.epoch && self.rules.hold(Rule::AppendEpoch) {
            return Err(StoreError::Fenced);
        }
        if self.is_sealed() && self.rules.hold(Rule::AppendSealed) {
            return Err(StoreError::Sealed);
        }
        if chunk.first() > next && self.rules.hold(Rule::AppendRewound) {
            return Err(StoreError::Rewound { tail });
        }
        if chunk.first() < next && self.rules.hold(Rule::AppendConflict) {
            return Err(StoreError::Conflict { tail });
        }
        if chunk.bytes() > max_bytes && self.rules.hold(Rule::AppendTooLarge) {
            return Err(StoreError::TooLarge { max: max_bytes });
        }
        Ok(())
    }

    fn written(&self, fresh: bool) -> Written {
        let tells = self.rules.hold(Rule::AppendTellsAbort);
        Written {
            fresh,
            answer: Appended {
                abort: self.abort.clone().filter(|_| tells),
            },
        }
    }

    /// Whether a reader that stands there can go on. `written_by` is the tag of the epoch that
    /// wrote the record at the position, if there is that record.
    pub(crate) fn may_read(
        &self,
        after: Position,
        written_by: impl FnOnce(Lsn) -> Option<EpochTag>,
        now: Duration,
    ) -> Result<(), StoreError> {
        self.here(now)?;
        self.readable()?;
        if after.lsn == Lsn::ZERO {
            return Ok(());
        }
        let rewound = match (written_by(after.lsn), after.tag) {
            (None, _) => self.rules.hold(Rule::ReadAbsent),
            (Some(_), None) => false,
            (Some(is), Some(was)) => is != was && self.rules.hold(Rule::ReadTag),
        };
        if rewound {
            Err(StoreError::Rewound { tail: self.tail })
        } else {
            Ok(())
        }
    }

    /// Where the session stands, for somebody who waits for its next change.
    pub(crate) fn look(&self, now: Duration) -> Result<State, StoreError> {
        self.here(now)?;
        self.readable()?;
        Ok(self.state(now))
    }

    /// Takes note of a wish to stop.
    pub(crate) fn abort(&mut self, abort: Abort, now: Duration) -> Result<State, StoreError> {
        self.here(now)?;
        let open = !self.is_sealed() || !self.rules.hold(Rule::AbortUnsealed);
        let first = self.abort.is_none() || !self.rules.hold(Rule::AbortFirst);
        if open && first && self.rules.hold(Rule::AbortStored) {
            self.abort = Some(abort);
        }
        Ok(self.state(now))
    }

    /// Takes note of an answer, or of nothing at all if there is an error.
    pub(crate) fn answer(&mut self, answer: Answer, now: Duration) -> Result<Judged, StoreError> {
        self.here(now)?;
        let sealed = self.is_sealed();
        self.answers.take(answer, sealed, self.rules)
    }

    /// The answers but for the first so many.
    pub(crate) fn answers_after(
        &self,
        count: usize,
        now: Duration,
    ) -> Result<Vec<Answer>, StoreError> {
        self.here(now)?;
        Ok(self.answers.after(count, self.rules))
    }

    /// Keeps the session for at least so long from now.
    pub(crate) fn hold(
        &mut self,
        by: Holder,
        keep: Duration,
        now: Duration,
    ) -> Result<(), StoreError> {
        self.here(now)?;
        self.retention.hold(by, keep, now, self.rules);
        Ok(())
    }

    /// Ends it all but for the tombstone; says whether anything changed.
    pub(crate) fn delete(&mut self, how: Delete, now: Duration) -> Result<bool, StoreError> {
        match self.here(now) {
            Err(StoreError::Gone(_)) if self.rules.hold(Rule::DeleteAgain) => return Ok(false),
            other => other?,
        }
        if self.retention.is_held(how, now, self.rules) {
            return Err(StoreError::Held);
        }
        self.retention.delete(now);
        self.answers = Answers::default();
        Ok(true)
    }

    /// Where the session stands, whether or not it is gone.
    pub(crate) fn state(&self, now: Duration) -> State {
        State {
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
    #[cfg(feature = "disk")]
    pub(crate) fn tail(&self) -> Lsn {
        self.tail
    }

    /// What the session is.
    #[cfg(feature = "disk")]
    pub(crate) fn info(&self) -> &Arc<Info> {
        &self.info
    }

    /// What was answered.
    #[cfg(feature = "disk")]
    pub(crate) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The same session, with what was answered to it, unless it has ended or is gone.
    #[cfg(feature = "disk")]
    pub(crate) fn with_answers(mut self, answers: Answers) -> Self {
        if !self.is_sealed() && self.retention.deleted.is_none() {
            self.answers = answers;
        }
        self
    }

    /// Whether nothing follows the last record.
    pub(crate) fn is_sealed(&self) -> bool {
        self.status.outcome().is_some()
    }

    /// Whether anybody may claim it.
    pub(crate) fn is_orphan(&self, now: Duration) -> bool {
        let sealed = self.is_sealed() && self.rules.hold(Rule::OrphansUnsealed);
        let over = self.held.at(now).is_over() || !self.rules.hold(Rule::OrphansOver);
        !sealed && over && self.here(now).is_ok()
    }

    /// When time alone next changes whether there is a session or a tombstone; `None` for a
    /// session that is neither sealed nor deleted.
    pub(crate) fn due(&self, now: Duration) -> Option<Duration> {
        self.retention.due(self.is_sealed(), now)
    }

    /// Whether there is a session.
    pub(crate) fn here(&self, now: Duration) -> Result<(), StoreError> {
        match self.retention.presence(self.is_sealed(), now, self.rules) {
            Presence::Here => Ok(()),
            Presence::Nothing => Err(StoreError::NotFound),
            Presence::Tombstone => Err(StoreError::Gone(Tombstone {
                owner: self.info.owner.clone(),
                digest: self.info.digest,
            })),
        }
    }

    fn readable(&self) -> Result<(), StoreError> {
        match self.info.format {
            format if format > Info::LATEST_FORMAT && self.rules.hold(Rule::Format) => {
                Err(StoreError::Unsupported { format })
            }
            _ => Ok(()),
        }
    }
}
