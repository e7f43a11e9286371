use std::time::Duration;

use bytes::Bytes;

use super::{Memory, log::RecordLog, session::MemorySession};
use crate::{
    BoxFuture,
    log::{ChatId, Chunk, Epoch, Owner, Position, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode,
        Durability, Filter, Holder, Lease, LeaseChange, Listed, Listing, NewSession, PendingEnding,
        RecordPage, Seen, SessionState, Store, StoreError, StoredAnswer, Token,
        machine::{AnswerEffect, SessionMachine},
        table::TableEntry,
    },
};

impl Store for Memory {
    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn outlives_handle(&self) -> bool {
        self.table.has_other_handles()
    }

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        ready(move || self.create_now(id, new))
    }

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        ready(move || self.claim_now(id, seen, token, lease))
    }

    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>> {
        let renew = move |(id, epoch): &(SessionId, Epoch)| {
            let entry = self.table.entry(id)?;
            let (mut session, now) = (entry.lock(), self.table.now());
            session.machine.renew(*epoch, lease, now)?;
            let state = session.machine.state(now);
            drop(session);
            if state.lease == Lease::Free {
                entry.wake_readers();
            }
            Ok(state)
        };
        ready(move || owned.iter().map(renew).collect())
    }

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        after: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        ready(move || self.append_chunk(id, &chunk, after))
    }

    fn append_now(
        &self,
        id: &SessionId,
        chunk: &Chunk,
        after: AfterAppend,
    ) -> Option<Result<Appended, StoreError>> {
        Some(self.append_chunk(id, chunk, after))
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        ready(move || {
            let entry = self.table.entry(id)?;
            let (session, now) = (entry.lock(), self.table.now());
            session
                .machine
                .check_read(after, |lsn| session.log.tag_at(lsn), now)?;
            Ok(RecordPage {
                chunks: session.log.read(after, max_bytes),
                state: session.machine.state(now),
            })
        })
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Seen,
        within: Duration,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        Box::pin(self.table.changed(id, seen, within))
    }

    fn abort<'a>(
        &'a self,
        id: &'a SessionId,
        abort: AbortRequest,
    ) -> BoxFuture<'a, Result<SessionState, StoreError>> {
        ready(move || {
            let entry = self.table.entry(id)?;
            let state = entry.lock().machine.abort(abort, self.table.now())?;
            entry.wake_all();
            Ok(state)
        })
    }

    fn answer<'a>(
        &'a self,
        id: &'a SessionId,
        answer: StoredAnswer,
    ) -> BoxFuture<'a, Result<AnswerOutcome, StoreError>> {
        ready(move || self.answer_now(id, answer))
    }

    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>> {
        ready(move || {
            let entry = self.table.entry(id)?;
            let session = entry.lock();
            session.machine.answers_after(after, self.table.now())
        })
    }

    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(move || {
            let entry = self.table.entry(id)?;
            let mut session = entry.lock();
            session.machine.hold(by, keep, self.table.now())
        })
    }

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(move || self.delete_now(id, how))
    }

    fn of_chat<'a>(
        &'a self,
        owner: Option<&'a Owner>,
        chat: &'a ChatId,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        ready(move || Ok(self.table.of_chat(owner, chat, limit)))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        ready(move || Ok(self.table.list(filter)))
    }

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        ready(move || Ok(self.table.orphans(limit)))
    }

    fn endings<'a>(
        &'a self,
        service: &'a ServiceName,
        limit: usize,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Vec<PendingEnding>, StoreError>> {
        ready(move || Ok(self.endings_now(service, limit, lease)))
    }

    fn postpone_ending<'a>(
        &'a self,
        id: &'a SessionId,
        delivery: u32,
        by: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(move || {
            let entry = self.table.entry(id)?;
            let now = self.table.now();
            entry.lock().machine.postpone_ending(delivery, by, now)?;
            self.table.update(&entry);
            Ok(())
        })
    }

    fn delivered<'a>(
        &'a self,
        id: &'a SessionId,
        sealed_by: Epoch,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(move || {
            if let Ok(entry) = self.table.entry(id) {
                let now = self.table.now();
                entry.lock().machine.ending_delivered(sealed_by, now);
                self.ending_changed(&entry);
            }
            Ok(())
        })
    }

    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        ready(move || Ok(self.table.sweep(limit)))
    }
}

/// Returns a future that does the work at its first poll.
fn ready<'a, T: 'a>(work: impl FnOnce() -> T + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(async move { work() })
}

impl Memory {
    fn create_now(&self, id: &SessionId, new: NewSession) -> Result<Created, StoreError> {
        let mut index = self.table.index();
        let now = self.table.now();
        let taken = index
            .find(id, now)
            .and_then(|entry| entry.lock().machine.create(new.token, now));
        if !matches!(taken, Err(StoreError::NotFound)) {
            return taken;
        }
        let machine = SessionMachine::new(&new, now);
        let epoch = machine.state(now).epoch;
        let session = MemorySession {
            machine,
            request: new.request,
            log: RecordLog::default(),
        };
        index.insert(id, session);
        Ok(Created::Created(epoch))
    }

    fn claim_now(
        &self,
        id: &SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> Result<Claimed, StoreError> {
        let entry = self.table.entry(id)?;
        let claimed = {
            let (mut session, now) = (entry.lock(), self.table.now());
            let epoch = session.machine.claim(seen, token, lease, now)?;
            Claimed {
                epoch,
                state: session.machine.state(now),
                request: session.request.clone(),
            }
        };
        entry.wake_all();
        Ok(claimed)
    }

    fn append_chunk(
        &self,
        id: &SessionId,
        chunk: &Chunk,
        after: AfterAppend,
    ) -> Result<Appended, StoreError> {
        let entry = self.table.entry(id)?;
        let (effect, sealed) = {
            let (mut session, now) = (entry.lock(), self.table.now());
            let mut effect = session
                .machine
                .append(chunk, after, self.max_append_bytes, now)?;
            if !effect.is_new {
                return Ok(effect.appended);
            }
            session.log.push(chunk.clone());
            let sealed = session.machine.is_sealed();
            if sealed {
                session.log.compact();
                session.drop_request();
            }
            effect.appended.kept = session.log.merged_last().cloned();
            (effect, sealed)
        };
        if effect.status_changed {
            self.table.update(&entry);
        }
        if sealed {
            entry.wake_all();
        } else {
            entry.wake_readers();
        }
        Ok(effect.appended)
    }

    fn answer_now(
        &self,
        id: &SessionId,
        answer: StoredAnswer,
    ) -> Result<AnswerOutcome, StoreError> {
        let entry = self.table.entry(id)?;
        let (effect, state) = {
            let (mut session, now) = (entry.lock(), self.table.now());
            (
                session.machine.answer(answer, now)?,
                session.machine.state(now),
            )
        };
        if effect == AnswerEffect::Added {
            entry.wake_all();
        }
        Ok(match effect {
            AnswerEffect::Added | AnswerEffect::AlreadyStored => AnswerOutcome::Stored(state),
            AnswerEffect::Taken => AnswerOutcome::Taken,
        })
    }

    fn endings_now(
        &self,
        service: &ServiceName,
        limit: usize,
        lease: Duration,
    ) -> Vec<PendingEnding> {
        let now = self.table.now();
        let mut taken = Vec::new();
        // Those whose time is over are dropped, and others take their places.
        while taken.len() < limit {
            let left = limit - taken.len();
            let due = self.table.index().due_endings(service, left, now);
            if due.is_empty() {
                break;
            }
            for entry in due {
                let ending = {
                    let mut session = entry.lock();
                    let request = session.request.clone();
                    let taken = session.machine.take_ending(lease, now);
                    taken.map(|taken| taken.of(entry.id.clone(), request))
                };
                self.ending_changed(&entry);
                taken.extend(ending);
            }
            if lease.is_zero() {
                break; // the same would be due again
            }
        }
        taken
    }

    /// Moves a session in the index after a change of its ending, and drops what nobody needs any more.
    fn ending_changed(&self, entry: &TableEntry<MemorySession>) {
        entry.lock().drop_request();
        self.table.update(entry);
        self.table.bury(entry);
    }

    fn delete_now(&self, id: &SessionId, how: DeleteMode) -> Result<(), StoreError> {
        let entry = match self.table.entry(id) {
            Err(StoreError::Gone(_)) if how.accepts_gone() => return Ok(()),
            found => found?,
        };
        {
            let mut session = entry.lock();
            session.machine.delete(how, self.table.now())?;
            session.request = Bytes::new();
            session.log = RecordLog::default();
        }
        self.table.bury(&entry);
        entry.wake_all();
        Ok(())
    }
}
