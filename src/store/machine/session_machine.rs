use std::{sync::Arc, time::Duration};

use crate::{
    log::{Chunk, Epoch, EpochTag, Lsn, Position, Status},
    store::{
        AbortRequest, AfterAppend, Appended, Created, DeleteMode, Holder, Lease, LeaseChange,
        NewSession, SessionMeta, SessionState, StoreError, StoredAnswer, Token, Tombstone,
        machine::{
            answers::{AnswerEffect, AnswerLog},
            lease::LeaseTerm,
            outbox::OutboxEntry,
            retention::{Presence, RetentionState},
        },
    },
};

/// The state of one session, from its creation to the end of its tombstone.
///
/// The methods follow those of [`Store`](crate::store::Store), whose documentation has the rules. Each
/// takes the time `now` by the store's clock. A method that returns an error changes nothing.
#[derive(Debug, Clone)]
pub struct SessionMachine {
    pub(super) meta: Arc<SessionMeta>,
    pub(super) created: Duration,
    // The token of the call that made the epoch.
    pub(super) token: Token,
    pub(super) epoch: Epoch,
    pub(super) attempts: u32,
    pub(super) tail: Lsn,
    // The epoch that wrote the record at the tail; unused while the log is empty.
    pub(super) tail_epoch: Epoch,
    pub(super) status: Status,
    // The time of the seal. Unknown of a session that an older version has sealed and encoded.
    pub(super) sealed: Option<Duration>,
    pub(super) abort: Option<AbortRequest>,
    pub(super) answers: AnswerLog,
    pub(super) lease: LeaseTerm,
    pub(super) retention: RetentionState,
    // Of a sealed session whose ending is to be delivered: most have none, so it takes no room.
    pub(super) outbox: Option<Box<OutboxEntry>>,
}

/// The effect of [`SessionMachine::append`].
#[derive(Debug)]
pub struct AppendEffect {
    /// True if the store has to add the records; false if the append is a duplicate.
    pub is_new: bool,
    /// True if the session has another [status](SessionMachine::status) than before.
    pub status_changed: bool,
    /// The result to return to the writer.
    pub appended: Appended,
}

impl SessionMachine {
    /// Creates a new session, owned by its creator.
    ///
    /// # Panics
    ///
    /// Panics if the operating system has no source of randomness.
    pub fn new(new: &NewSession, now: Duration) -> Self {
        let epoch = Epoch::first();
        Self {
            meta: new.meta.clone(),
            created: now,
            token: new.token,
            epoch,
            attempts: 0,
            tail: Lsn::ZERO,
            tail_epoch: epoch,
            status: Status::Streaming,
            sealed: None,
            abort: None,
            answers: AnswerLog::default(),
            lease: LeaseTerm::new(new.lease, now),
            retention: RetentionState::new(new.tombstone),
            outbox: None,
        }
    }

    /// Returns the result of a `create` under the id of this session: a repetition of the call that
    /// made it, or a call that finds the id in use.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] while there is a tombstone. [`StoreError::NotFound`] if the id is free
    /// again, so that the store makes a new session.
    pub fn create(&self, token: Token, now: Duration) -> Result<Created, StoreError> {
        self.check_present(now)?;
        let repeated = token == self.token && self.epoch.claims() == 0;
        Ok(if repeated {
            Created::Created(self.epoch)
        } else {
            Created::Exists(self.state(now))
        })
    }

    /// Takes the session over, and returns the new epoch.
    ///
    /// # Errors
    ///
    /// Those of [`Store::claim`](crate::store::Store::claim).
    pub fn claim(
        &mut self,
        seen: Epoch,
        token: Token,
        lease: Duration,
        now: Duration,
    ) -> Result<Epoch, StoreError> {
        self.check_present(now)?;
        self.check_format()?;
        if self.is_sealed() {
            return Err(StoreError::Sealed);
        }
        if token == self.token && self.epoch.claims() > 0 {
            return Ok(self.epoch);
        }
        if seen != self.epoch || !self.lease.at(now).is_over() {
            return Err(StoreError::Held);
        }
        self.attempts = self.attempts_if_lost();
        self.token = token;
        self.lease = LeaseTerm::new(lease, now);
        self.epoch = self.epoch.succeed();
        Ok(self.epoch)
    }

    /// Returns the number of attempts without progress if the owner is lost now.
    pub(super) fn attempts_if_lost(&self) -> u32 {
        let has_appended = self.tail > Lsn::ZERO && self.tail_epoch == self.epoch;
        let is_lost = !has_appended && !self.lease.is_free();
        self.attempts.saturating_add(u32::from(is_lost))
    }

    /// Extends the lease, or gives it back.
    ///
    /// # Errors
    ///
    /// Those of [`Store::renew`](crate::store::Store::renew).
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
        self.lease = LeaseTerm::new(lease.length(), now);
        Ok(())
    }

    /// Moves the tail past a chunk and sets the status. `max_bytes` is the largest number of bytes
    /// that the engine can append at once.
    ///
    /// The store adds the records if [`AppendEffect::is_new`] is true. After a seal it drops the request.
    /// If [`AppendEffect::status_changed`] is true, its lists
    /// [change](crate::store::table::SessionTable::update).
    ///
    /// # Errors
    ///
    /// Those of [`Store::append`](crate::store::Store::append).
    pub fn append(
        &mut self,
        chunk: &Chunk,
        after: AfterAppend,
        max_bytes: usize,
        now: Duration,
    ) -> Result<AppendEffect, StoreError> {
        self.check_present(now)?;
        let duplicate = self.tail == chunk.last() && self.tail_epoch == chunk.epoch();
        if duplicate {
            return Ok(self.append_effect(false, false));
        }
        self.check_append(chunk, max_bytes)?;
        self.tail = chunk.last();
        self.tail_epoch = chunk.epoch();
        self.lease.extend(now);
        let before = self.status;
        match after {
            AfterAppend::Streaming => self.status = Status::Streaming,
            AfterAppend::Waiting => self.status = Status::Waiting,
            AfterAppend::Seal(seal) => {
                self.status = Status::Ended(seal.outcome);
                self.sealed = Some(now);
                self.answers = AnswerLog::default();
                self.retention.keep(now.saturating_add(seal.keep));
                self.outbox = self.meta.outbox.map(|keep| {
                    Box::new(OutboxEntry {
                        summary: seal.summary,
                        due: now,
                        deliveries: 0,
                        until: now.saturating_add(keep),
                    })
                });
            }
        }
        Ok(self.append_effect(true, self.status != before))
    }

    fn check_append(&self, chunk: &Chunk, max_bytes: usize) -> Result<(), StoreError> {
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

    fn append_effect(&self, is_new: bool, status_changed: bool) -> AppendEffect {
        AppendEffect {
            is_new,
            status_changed,
            appended: Appended {
                abort: self.abort.clone(),
                kept: None,
            },
        }
    }

    /// Checks that a read may go on after this position. `written_by` returns the tag of the epoch
    /// that wrote the record at an LSN, or `None` if there is no such record.
    ///
    /// # Errors
    ///
    /// Those of [`Store::read`](crate::store::Store::read), except for `Corrupt` and `Unavailable`.
    pub fn check_read(
        &self,
        after: Position,
        written_by: impl FnOnce(Lsn) -> Option<EpochTag>,
        now: Duration,
    ) -> Result<(), StoreError> {
        self.check_present(now)?;
        self.check_format()?;
        if after.lsn == Lsn::ZERO {
            return Ok(());
        }
        let rewound = match (written_by(after.lsn), after.tag) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(stored), Some(seen)) => stored != seen,
        };
        if rewound {
            Err(StoreError::Rewound { tail: self.tail })
        } else {
            Ok(())
        }
    }

    /// Returns the state for [`Store::changed`](crate::store::Store::changed).
    ///
    /// # Errors
    ///
    /// Those of [`check_present`](Self::check_present), and [`StoreError::Unsupported`].
    pub fn observe(&self, now: Duration) -> Result<SessionState, StoreError> {
        self.check_present(now)?;
        self.check_format()?;
        Ok(self.state(now))
    }

    /// Notes an abort request, unless there is one or the session has ended.
    ///
    /// # Errors
    ///
    /// Those of [`check_present`](Self::check_present).
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

    /// Adds an answer.
    ///
    /// # Errors
    ///
    /// Those of [`Store::answer`](crate::store::Store::answer).
    pub fn answer(
        &mut self,
        answer: StoredAnswer,
        now: Duration,
    ) -> Result<AnswerEffect, StoreError> {
        self.check_present(now)?;
        let sealed = self.is_sealed();
        self.answers.add(answer, sealed)
    }

    /// Returns the answers without the first `count`.
    ///
    /// # Errors
    ///
    /// Those of [`check_present`](Self::check_present).
    pub fn answers_after(
        &self,
        count: usize,
        now: Duration,
    ) -> Result<Vec<StoredAnswer>, StoreError> {
        self.check_present(now)?;
        Ok(self.answers.after(count))
    }

    /// Keeps the session for at least `keep` from now on.
    ///
    /// # Errors
    ///
    /// Those of [`check_present`](Self::check_present).
    pub fn hold(&mut self, by: Holder, keep: Duration, now: Duration) -> Result<(), StoreError> {
        self.check_present(now)?;
        self.retention.hold(by, keep, now);
        Ok(())
    }

    /// Deletes the session and leaves its tombstone, or nothing if it is [withdrawn](DeleteMode::Withdrawn).
    /// Returns false if it was gone before.
    ///
    /// # Errors
    ///
    /// Those of [`Store::delete`](crate::store::Store::delete).
    pub fn delete(&mut self, how: DeleteMode, now: Duration) -> Result<bool, StoreError> {
        if let DeleteMode::Withdrawn(epoch) = how {
            return self.withdraw(epoch, now).map(|()| true);
        }
        match self.check_present(now) {
            Err(StoreError::Gone(_)) => return Ok(false),
            other => other?,
        }
        let waits = self.has_ending(now) && how != DeleteMode::Now;
        if waits || self.retention.is_held(how, now) {
            return Err(StoreError::Held);
        }
        self.retention.delete(now);
        if let Some(abort) = &mut self.abort {
            abort.reason = None;
        }
        self.answers = AnswerLog::default();
        Ok(true)
    }

    fn withdraw(&mut self, epoch: Epoch, now: Duration) -> Result<(), StoreError> {
        self.check_present(now)?;
        if epoch != self.epoch {
            return Err(StoreError::Fenced);
        }
        if self.is_sealed() {
            return Err(StoreError::Sealed);
        }
        self.retention.withdraw(now);
        self.abort = None;
        self.answers = AnswerLog::default();
        Ok(())
    }

    /// Returns the state, also of a session that is gone.
    pub fn state(&self, now: Duration) -> SessionState {
        SessionState {
            meta: self.meta.clone(),
            age: now.saturating_sub(self.created),
            ended: self.sealed.map(|at| now.saturating_sub(at)),
            epoch: self.epoch,
            attempts: self.attempts,
            tail: self.tail,
            status: self.status,
            abort: self.abort.clone(),
            lease: if self.is_sealed() {
                Lease::Free
            } else {
                self.lease.at(now)
            },
            answers: u32::try_from(self.answers.as_slice().len()).unwrap_or(u32::MAX),
        }
    }

    /// Returns the last LSN of the log.
    pub fn tail(&self) -> Lsn {
        self.tail
    }

    /// Returns the part of the session that never changes.
    pub fn meta(&self) -> &Arc<SessionMeta> {
        &self.meta
    }

    /// Returns the answers that the owner can read.
    pub fn answers(&self) -> &AnswerLog {
        &self.answers
    }

    /// Replaces the answers, unless the session has ended or was deleted. For a store that
    /// [decodes](Self::decode) the state.
    #[must_use]
    pub fn with_answers(mut self, answers: AnswerLog) -> Self {
        if !self.is_sealed() && self.retention.deleted.is_none() {
            self.answers = answers;
        }
        self
    }

    /// Returns the status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Returns true if the session has ended.
    pub fn is_sealed(&self) -> bool {
        self.status.outcome().is_some()
    }

    /// Returns true if the session was deleted.
    pub fn is_deleted(&self) -> bool {
        self.retention.deleted.is_some()
    }

    /// Returns true if the session may be claimed.
    pub fn is_orphan(&self, now: Duration) -> bool {
        !self.is_sealed() && self.lease.at(now).is_over() && self.check_present(now).is_ok()
    }

    /// Returns the time at which the session is gone: that of its deletion, or else the end of its
    /// retention. Returns `None` for a session that is neither sealed nor deleted.
    ///
    /// A hold can move the end of the retention to a later time, and a delivery of the ending to a sooner
    /// one.
    pub fn gone_at(&self) -> Option<Duration> {
        self.retention
            .gone_at(self.is_sealed(), self.ending_until())
    }

    /// Returns the time from which only the tombstone is needed: the session is [gone](Self::gone_at), and
    /// its ending is delivered or dropped.
    pub fn buried_at(&self) -> Option<Duration> {
        let gone = self.gone_at()?;
        Some(self.ending_until().map_or(gone, |until| gone.max(until)))
    }

    /// Returns the time at which the tombstone ends: that of [`gone_at`](Self::gone_at) and the length of
    /// the tombstone, but no sooner than the ending is delivered or dropped.
    pub fn tombstone_until(&self) -> Option<Duration> {
        self.retention
            .tombstone_until(self.is_sealed(), self.ending_until())
    }

    /// Checks that the session is neither deleted nor expired.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] while there is a tombstone, [`StoreError::NotFound`] after that.
    pub fn check_present(&self, now: Duration) -> Result<(), StoreError> {
        match self
            .retention
            .presence(self.is_sealed(), self.ending_until(), now)
        {
            Presence::Present => Ok(()),
            Presence::Nothing => Err(StoreError::NotFound),
            Presence::Tombstone => Err(StoreError::Gone(Tombstone {
                owner: self.meta.owner.clone(),
                digest: self.meta.digest,
            })),
        }
    }

    fn check_format(&self) -> Result<(), StoreError> {
        match self.meta.format {
            format if format > SessionMeta::LATEST_FORMAT => {
                Err(StoreError::Unsupported { format })
            }
            _ => Ok(()),
        }
    }
}
