use std::time::Duration;

use bytes::Bytes;

use super::{Memory, kept::Kept, log::Log};
use crate::{
    session::{
        Chunk, Epoch, Position, SessionId,
        life::{Judged, Life},
        rule::Rule,
    },
    store::{
        Abort, Answer, Answered, Appended, BoxFuture, Claimed, Created, Delete, Durability, Filter,
        Holder, Listed, Listing, New, Page, State, Store, StoreError, Then, Token, Version,
    },
};

impl Store for Memory {
    fn durability(&self) -> Durability {
        Durability::Process
    }

    fn create<'a>(
        &'a self,
        id: &'a SessionId,
        new: New,
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
        lease: Duration,
    ) -> BoxFuture<'a, Vec<Result<State, StoreError>>> {
        let renew = move |(id, epoch): &(SessionId, Epoch)| {
            let slot = self.shelf.slot(id)?;
            let (mut kept, now) = (slot.lock(), self.shelf.now());
            kept.life.renew(*epoch, lease, now)?;
            Ok(kept.life.state(now))
        };
        soon(move || owned.iter().map(renew).collect())
    }

    fn append<'a>(
        &'a self,
        id: &'a SessionId,
        chunk: Chunk,
        then: Then,
    ) -> BoxFuture<'a, Result<Appended, StoreError>> {
        soon(move || self.append_now(id, chunk, then))
    }

    fn read<'a>(
        &'a self,
        id: &'a SessionId,
        after: Position,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        soon(move || {
            let slot = self.shelf.slot(id)?;
            let (kept, now) = (slot.lock(), self.shelf.now());
            kept.life.may_read(after, |lsn| kept.log.tag_at(lsn), now)?;
            Ok(Page {
                chunks: kept.page(after, max_bytes, self.shelf.rules)?,
                state: kept.life.state(now),
            })
        })
    }

    fn changed<'a>(
        &'a self,
        id: &'a SessionId,
        seen: Version,
        within: Duration,
    ) -> BoxFuture<'a, Result<State, StoreError>> {
        Box::pin(self.shelf.wait(id, seen, within))
    }

    fn abort<'a>(
        &'a self,
        id: &'a SessionId,
        abort: Abort,
    ) -> BoxFuture<'a, Result<State, StoreError>> {
        soon(move || {
            let slot = self.shelf.slot(id)?;
            let state = slot.lock().life.abort(abort, self.shelf.now())?;
            if self.shelf.rules.hold(Rule::WakeAbort) {
                slot.wake_all();
            }
            Ok(state)
        })
    }

    fn answer<'a>(
        &'a self,
        id: &'a SessionId,
        answer: Answer,
    ) -> BoxFuture<'a, Result<Answered, StoreError>> {
        soon(move || self.answer_now(id, answer))
    }

    fn answers<'a>(
        &'a self,
        id: &'a SessionId,
        after: usize,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>> {
        soon(move || {
            let slot = self.shelf.slot(id)?;
            let kept = slot.lock();
            kept.life.answers_after(after, self.shelf.now())
        })
    }

    fn hold<'a>(
        &'a self,
        id: &'a SessionId,
        by: Holder,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        soon(move || {
            let slot = self.shelf.slot(id)?;
            let mut kept = slot.lock();
            kept.life.hold(by, keep, self.shelf.now())
        })
    }

    fn delete<'a>(
        &'a self,
        id: &'a SessionId,
        how: Delete,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        soon(move || self.delete_now(id, how))
    }

    fn list<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<Listing, StoreError>> {
        soon(move || Ok(self.shelf.list(filter)))
    }

    fn orphans(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Listed>, StoreError>> {
        soon(move || Ok(self.shelf.orphans(limit)))
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
    fn create_now(&self, id: &SessionId, new: New) -> Result<Created, StoreError> {
        let mut index = self.shelf.index();
        let now = self.shelf.now();
        if let Some(slot) = index.slot(id) {
            match slot.lock().life.create_again(new.token, now) {
                Err(StoreError::NotFound) => {}
                Err(StoreError::Gone(_)) if !self.shelf.rules.hold(Rule::CreateUnderTombstone) => {}
                Ok(Created::Exists(_)) if !self.shelf.rules.hold(Rule::CreateOnce) => {}
                taken => return taken,
            }
        }
        let life = Life::new(&new, self.shelf.rules, now);
        let epoch = life.state(now).epoch;
        let kept = Kept {
            life,
            request: new.request,
            log: Log::default(),
            cleared: false,
            #[cfg(feature = "testing")]
            harmed: None,
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
        let slot = self.shelf.slot(id)?;
        let claimed = {
            let (mut kept, now) = (slot.lock(), self.shelf.now());
            let epoch = kept.life.claim(seen, token, lease, now)?;
            Claimed {
                epoch,
                state: kept.life.state(now),
                request: if self.shelf.rules.hold(Rule::ClaimRequest) {
                    kept.request.clone()
                } else {
                    Bytes::new()
                },
            }
        };
        if self.shelf.rules.hold(Rule::WakeClaim) {
            slot.wake_all();
        }
        Ok(claimed)
    }

    fn append_now(&self, id: &SessionId, chunk: Chunk, then: Then) -> Result<Appended, StoreError> {
        let slot = self.shelf.slot(id)?;
        let (answer, due) = {
            let (mut kept, now) = (slot.lock(), self.shelf.now());
            let written = kept.life.append(&chunk, then, self.max_append, now)?;
            if !written.fresh {
                return Ok(written.answer);
            }
            if self.shelf.rules.hold(Rule::AppendKept) {
                kept.log.push(chunk);
            }
            let due = kept.life.due(now);
            if due.is_some() {
                kept.log.settle();
                kept.request = Bytes::new();
            }
            (written.answer, due)
        };
        match due {
            _ if !self.shelf.rules.hold(Rule::WakeAppend) => {}
            None => slot.wake_readers(),
            Some(_) => slot.wake_all(),
        }
        if let Some(due) = due {
            self.shelf.index().ended(slot.number, due);
        }
        Ok(answer)
    }

    fn answer_now(&self, id: &SessionId, answer: Answer) -> Result<Answered, StoreError> {
        let slot = self.shelf.slot(id)?;
        let (judged, state) = {
            let (mut kept, now) = (slot.lock(), self.shelf.now());
            (kept.life.answer(answer, now)?, kept.life.state(now))
        };
        if judged == Judged::New && self.shelf.rules.hold(Rule::WakeAnswer) {
            slot.wake_all();
        }
        Ok(match judged {
            Judged::New | Judged::There => Answered::Stored(state),
            Judged::Taken => Answered::Taken,
        })
    }

    fn delete_now(&self, id: &SessionId, how: Delete) -> Result<(), StoreError> {
        let slot = self.shelf.slot(id)?;
        let due = {
            let (mut kept, now) = (slot.lock(), self.shelf.now());
            if !kept.life.delete(how, now)? {
                return Ok(());
            }
            kept.clear();
            kept.life.due(now)
        };
        if self.shelf.rules.hold(Rule::WakeDelete) {
            slot.wake_all();
        }
        if let Some(due) = due {
            self.shelf.index().ended(slot.number, due);
        }
        Ok(())
    }
}
