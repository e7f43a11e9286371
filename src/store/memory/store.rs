use std::time::Duration;

use bytes::Bytes;

use super::{Memory, log::RecordLog, session::MemorySession};
use crate::{
    log::{Chunk, Epoch, Position, SessionId},
    store::{
        AbortRequest, AfterAppend, AnswerOutcome, Appended, BoxFuture, Claimed, Created,
        DeleteMode, Durability, Filter, Holder, LeaseChange, Listed, Listing, NewSession,
        RecordPage, Seen, SessionState, Store, StoreError, StoredAnswer, Token,
        machine::{AnswerEffect, SessionMachine},
    },
};

impl Store for Memory {
    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: NewSession,
    ) -> BoxFuture<'a, Result<Created, StoreError>> {
        soon(move || self.create_now(id, new))
    }

    fn claim<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<Claimed, StoreError>> {
        soon(move || self.claim_now(id, seen, token, lease))
    }

    fn renew<'a>(
        &'a self,
        owned: &'a [(SessionId, Epoch)],
        lease: LeaseChange,
    ) -> BoxFuture<'a, Vec<Result<SessionState, StoreError>>> {
        let renew = move |(id, epoch): &(SessionId, Epoch)| {
            let entry = self.table.entry(id)?;
            let (mut kept, now) = (entry.lock(), self.table.now());
            kept.machine.renew(*epoch, lease, now)?;
            Ok(kept.machine.state(now))
        };
        soon(move || owned.iter().map(renew).collect())
    }

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        soon(move || self.append_now(id, chunk, then))
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<RecordPage, StoreError>> {
        soon(move || {
            let entry = self.table.entry(id)?;
            let (kept, now) = (entry.lock(), self.table.now());
            kept.machine
                .check_read(after, |lsn| kept.log.tag_at(lsn), now)?;
            Ok(RecordPage {
                chunks: kept.log.read(after, max_bytes),
                state: kept.machine.state(now),
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
        soon(move || {
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
        soon(move || self.answer_now(id, answer))
    }

    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<StoredAnswer>, StoreError>> {
        soon(move || {
            let entry = self.table.entry(id)?;
            let kept = entry.lock();
            kept.machine.answers_after(after, self.table.now())
        })
    }

    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        soon(move || {
            let entry = self.table.entry(id)?;
            let mut kept = entry.lock();
            kept.machine.hold(by, keep, self.table.now())
        })
    }

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: DeleteMode,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        soon(move || self.delete_now(id, how))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        soon(move || Ok(self.table.list(filter)))
    }

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        soon(move || Ok(self.table.orphans(limit)))
    }

    fn sweep(&self, limit: usize) -> BoxFuture<'_, Result<usize, StoreError>> {
        soon(move || Ok(self.sweep_now(limit)))
    }
}

/// A future that does it all when it is first polled.
fn soon<'a, T: 'a>(work: impl FnOnce() -> T + Send + 'a) -> BoxFuture<'a, T> {
    Box::pin(async move { work() })
}

impl Memory {
    fn create_now(&self, id: &SessionId, new: NewSession) -> Result<Created, StoreError> {
        let mut index = self.table.index();
        let now = self.table.now();
        if let Some(entry) = index.entry(id) {
            match entry.lock().machine.create(new.token, now) {
                Err(StoreError::NotFound) => {}
                taken => return taken,
            }
        }
        let machine = SessionMachine::new(&new, now);
        let epoch = machine.state(now).epoch;
        let kept = MemorySession {
            machine,
            request: new.request,
            log: RecordLog::default(),
            cleared: false,
        };
        index.insert(id, kept);
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
            let (mut kept, now) = (entry.lock(), self.table.now());
            let epoch = kept.machine.claim(seen, token, lease, now)?;
            Claimed {
                epoch,
                state: kept.machine.state(now),
                request: kept.request.clone(),
            }
        };
        entry.wake_all();
        Ok(claimed)
    }

    fn append_now(
        &self,
        id: &SessionId,
        chunk: Chunk,
        then: AfterAppend,
    ) -> Result<Appended, StoreError> {
        let entry = self.table.entry(id)?;
        let (answer, due) = {
            let (mut kept, now) = (entry.lock(), self.table.now());
            let written = kept.machine.append(&chunk, then, self.max_append, now)?;
            if !written.fresh {
                return Ok(written.answer);
            }
            kept.log.push(chunk);
            let due = kept.machine.due(now);
            if due.is_some() {
                kept.log.settle();
                kept.request = Bytes::new();
            }
            (written.answer, due)
        };
        match due {
            None => entry.wake_readers(),
            Some(_) => entry.wake_all(),
        }
        if let Some(due) = due {
            self.table.index().ended(entry.number, due);
        }
        Ok(answer)
    }

    fn answer_now(
        &self,
        id: &SessionId,
        answer: StoredAnswer,
    ) -> Result<AnswerOutcome, StoreError> {
        let entry = self.table.entry(id)?;
        let (judged, state) = {
            let (mut kept, now) = (entry.lock(), self.table.now());
            (kept.machine.answer(answer, now)?, kept.machine.state(now))
        };
        if judged == AnswerEffect::Added {
            entry.wake_all();
        }
        Ok(match judged {
            AnswerEffect::Added | AnswerEffect::AlreadyStored => AnswerOutcome::Stored(state),
            AnswerEffect::Taken => AnswerOutcome::Taken,
        })
    }

    fn delete_now(&self, id: &SessionId, how: DeleteMode) -> Result<(), StoreError> {
        let entry = self.table.entry(id)?;
        let due = {
            let (mut kept, now) = (entry.lock(), self.table.now());
            if !kept.machine.delete(how, now)? {
                return Ok(());
            }
            kept.clear();
            kept.machine.due(now)
        };
        entry.wake_all();
        if let Some(due) = due {
            self.table.index().ended(entry.number, due);
        }
        Ok(())
    }
}
