use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::{
    batch_header::BatchHeader,
    compactor::{Compactor, LiveBytes},
    frame::{self, Frame, FrameBody},
    pending::{PENDING, PendingSession, WakeScope},
    recover,
    segments::SegmentFiles,
    session::{DiskSession, Extent, FrameChange, FrameLocation},
};
use unbroken::{
    log::{Chunk, Epoch, Lsn, SessionId},
    store::{
        AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode, Holder,
        LeaseChange, NewSession, SessionState, StoreError, StoredAnswer, Token,
        machine::{AnswerEffect, SessionMachine},
        table::{SessionTable, TableEntry},
    },
};

/// A batch in the making: what it changes, unseen by anybody, and the frames that say so.
pub(crate) struct WriteBatch {
    pub(crate) now: Duration,
    table: SessionTable<DiskSession>,
    opened: Arc<SegmentFiles>,
    live: LiveBytes,
    max_append: usize,
    drafts: Vec<PendingSession>,
    by_id: HashMap<SessionId, usize>,
    last: u64,
    // The head's place, and the frames.
    buffer: Vec<u8>,
}

impl WriteBatch {
    pub(crate) fn new(
        table: SessionTable<DiskSession>,
        opened: Arc<SegmentFiles>,
        live: LiveBytes,
        max_append: usize,
    ) -> Self {
        let last = table.index().last();
        Self {
            now: Duration::ZERO,
            table,
            opened,
            live,
            max_append,
            drafts: Vec::new(),
            by_id: HashMap::new(),
            last,
            buffer: vec![0; BatchHeader::LEN],
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.buffer.len() - BatchHeader::LEN
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    pub(crate) fn buffer(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    pub(crate) fn create(
        &mut self,
        id: &SessionId,
        new: &NewSession,
    ) -> Result<Created, StoreError> {
        if let Ok(at) = self.draft(id) {
            match self.drafts[at].machine.create(new.token, self.now) {
                Err(StoreError::NotFound) => {}
                taken => return taken,
            }
        }
        let machine = SessionMachine::new(new, self.now);
        let epoch = machine.state(self.now).epoch;
        self.last += 1;
        self.add(PendingSession::new(id, self.last, None, machine));
        self.write_base(self.drafts.len() - 1, &new.request);
        Ok(Created::Created(epoch))
    }

    pub(crate) fn claim(
        &mut self,
        id: &SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> Result<Claimed, StoreError> {
        let at = self.draft(id)?;
        let request = self.request(at);
        let draft = &mut self.drafts[at];
        let before = draft.machine.clone();
        let epoch = draft.machine.claim(seen, token, lease, self.now)?;
        let Some(request) = request else {
            draft.machine = before;
            return Err(StoreError::Corrupt { lsn: Lsn::ZERO });
        };
        let state = draft.machine.state(self.now);
        draft.wake = WakeScope::All;
        self.write_state(at);
        Ok(Claimed {
            epoch,
            state,
            request,
        })
    }

    pub(crate) fn renew(
        &mut self,
        id: &SessionId,
        epoch: Epoch,
        lease: LeaseChange,
    ) -> Result<SessionState, StoreError> {
        // Nothing to write: whoever opens the store again finds no lease.
        let at = self.draft(id)?;
        let machine = &mut self.drafts[at].machine;
        machine.renew(epoch, lease, self.now)?;
        Ok(machine.state(self.now))
    }

    pub(crate) fn append(
        &mut self,
        id: &SessionId,
        chunk: &Chunk,
        then: AfterAppend,
    ) -> Result<Appended, StoreError> {
        let at = self.draft(id)?;
        let draft = &mut self.drafts[at];
        let written = draft
            .machine
            .append(chunk, then, self.max_append, self.now)?;
        if !written.fresh {
            return Ok(written.answer);
        }
        draft.ended |= draft.machine.is_sealed();
        draft.wake = draft.wake.max(if draft.ended {
            WakeScope::All
        } else {
            WakeScope::Readers
        });
        let body = FrameBody::Append(chunk, &draft.machine);
        let place = put(&mut self.buffer, draft.number, &body);
        let change = FrameChange::Append(extent(std::slice::from_ref(chunk), place), chunk.epoch());
        draft.changes.push(change);
        Ok(written.answer)
    }

    pub(crate) fn abort(
        &mut self,
        id: &SessionId,
        abort: AbortRequest,
    ) -> Result<SessionState, StoreError> {
        let at = self.draft(id)?;
        let draft = &mut self.drafts[at];
        let state = draft.machine.abort(abort, self.now)?;
        draft.wake = WakeScope::All;
        self.write_state(at);
        Ok(state)
    }

    pub(crate) fn answer(
        &mut self,
        id: &SessionId,
        answer: &StoredAnswer,
    ) -> Result<AnswerOutcome, StoreError> {
        let at = self.draft(id)?;
        let draft = &mut self.drafts[at];
        match draft.machine.answer(answer.clone(), self.now)? {
            AnswerEffect::Taken => return Ok(AnswerOutcome::Taken),
            AnswerEffect::AlreadyStored => {}
            AnswerEffect::Added => {
                draft.wake = WakeScope::All;
                let body = FrameBody::Answer(answer);
                let place = put(&mut self.buffer, draft.number, &body);
                draft.changes.push(FrameChange::Answer(place));
            }
        }
        Ok(AnswerOutcome::Stored(draft.machine.state(self.now)))
    }

    pub(crate) fn hold(
        &mut self,
        id: &SessionId,
        by: Holder,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let at = self.draft(id)?;
        self.drafts[at].machine.hold(by, keep, self.now)?;
        self.write_state(at);
        Ok(())
    }

    pub(crate) fn delete(&mut self, id: &SessionId, how: DeleteMode) -> Result<(), StoreError> {
        let at = self.draft(id)?;
        let draft = &mut self.drafts[at];
        if !draft.machine.delete(how, self.now)? {
            return Ok(());
        }
        draft.wake = WakeScope::All;
        draft.ended = true;
        self.write_state(at);
        self.drafts[at].changes.push(FrameChange::Clear);
        Ok(())
    }

    /// Nothing to write: time alone has ended them, and has when the store is opened again.
    pub(crate) fn sweep(&mut self, limit: usize) -> usize {
        let mut swept = 0;
        let mut later = Vec::new();
        while swept < limit {
            let Some(entry) = self.table.index().pop_due(self.now) else {
                break;
            };
            if self.by_id.contains_key(&entry.id) {
                later.push(entry.number);
                continue;
            }
            let mut kept = entry.lock();
            let before = kept.live();
            let gone = match kept.machine.check_present(self.now) {
                Ok(()) => false,
                Err(StoreError::Gone(_)) => {
                    swept += usize::from(!kept.cleared);
                    kept.clear();
                    false
                }
                Err(_) => true,
            };
            let after = if gone { 0 } else { kept.live() };
            let due = kept.machine.due(self.now);
            drop(kept);
            self.live.changed(before, after);
            if gone {
                self.table.index().remove(entry.number);
                swept += 1;
            } else if let Some(due) = due.filter(|due| *due > self.now) {
                self.table.index().ended(entry.number, due);
            }
        }
        for number in later {
            self.table.index().ended(number, self.now);
        }
        swept
    }

    /// The session under this id, as it will be.
    pub(crate) fn draft(&mut self, id: &SessionId) -> Result<usize, StoreError> {
        if let Some(&at) = self.by_id.get(id) {
            return Ok(at);
        }
        let entry = self.table.entry(id)?;
        let machine = entry.lock().machine.clone();
        Ok(self.add(PendingSession::new(id, entry.number, Some(entry), machine)))
    }

    fn add(&mut self, draft: PendingSession) -> usize {
        let at = self.drafts.len();
        self.by_id.insert(draft.id.clone(), at);
        self.drafts.push(draft);
        at
    }

    pub(crate) fn at(&self, draft: usize) -> &PendingSession {
        &self.drafts[draft]
    }

    pub(crate) fn write_state(&mut self, at: usize) {
        let draft = &mut self.drafts[at];
        let place = put(
            &mut self.buffer,
            draft.number,
            &FrameBody::State(&draft.machine),
        );
        draft.changes.push(FrameChange::State(place));
    }

    fn write_base(&mut self, at: usize, request: &Bytes) {
        let draft = &mut self.drafts[at];
        let body = FrameBody::Base {
            id: &draft.id,
            info: draft.machine.info(),
            request,
            machine: &draft.machine,
        };
        let place = put(&mut self.buffer, draft.number, &body);
        draft.changes.push(FrameChange::Base(place));
    }

    /// Writes these records again, in one place. They follow one another in one epoch.
    pub(crate) fn write_run(&mut self, at: usize, chunks: &[Chunk]) {
        let draft = &mut self.drafts[at];
        let place = put(&mut self.buffer, draft.number, &FrameBody::Run(chunks));
        let change = FrameChange::Run(extent(chunks, place), chunks[0].epoch());
        draft.changes.push(change);
    }

    /// Writes again what else there is of the session; says whether it could.
    pub(crate) fn move_base(&mut self, at: usize) -> bool {
        let needed = !self.drafts[at].machine.is_sealed()
            && self.drafts[at].machine.check_present(self.now).is_ok();
        let request = if needed {
            self.request(at)
        } else {
            Some(Bytes::new())
        };
        if let Some(request) = &request {
            self.write_base(at, request);
        }
        request.is_some()
    }

    /// The request that the session was created with, if it can be read.
    fn request(&self, at: usize) -> Option<Bytes> {
        let draft = &self.drafts[at];
        let bases = draft
            .changes
            .iter()
            .rev()
            .filter_map(|change| match change {
                FrameChange::Base(place) => Some(*place),
                _ => None,
            });
        let kept = draft.entry.iter().map(|entry| entry.lock().base);
        let place = bases.chain(kept).next()?;
        let bytes = if place.segment == PENDING {
            self.buffer[place.at as usize..][..place.len as usize].to_vec()
        } else {
            self.opened.read(place).ok()?
        };
        match frame::read(&bytes)? {
            (number, Frame::Base(base)) if number == draft.number => {
                Some(Bytes::copy_from_slice(base.request))
            }
            _ => None,
        }
    }

    /// The records of an extent, if they can be read.
    pub(crate) fn chunk(&self, number: u64, extent: &Extent) -> Option<Chunk> {
        let bytes = self.opened.read(extent.place).ok()?;
        recover::records(&bytes, number, extent)
    }

    /// Sessions of which anything that is needed lies in this file.
    pub(crate) fn sessions_in(&self, segment: u32) -> VecDeque<Arc<TableEntry<DiskSession>>> {
        const BATCH: usize = 1024;
        let mut found = VecDeque::new();
        let mut from = u64::MAX;
        loop {
            let batch = self.table.index().older(from, BATCH);
            let Some(last) = batch.last() else {
                return found;
            };
            from = last.number;
            let there = batch
                .into_iter()
                .filter(|entry| entry.lock().is_in(segment));
            found.extend(there);
        }
    }

    /// Lets everybody see what is stable now.
    pub(crate) fn show(self, tidy: &mut Compactor, segment: u32, start: u32) {
        for draft in self.drafts {
            draft.show(&self.table, self.now, tidy, (segment, start));
        }
    }
}

/// Writes a frame into the batch.
fn put(buffer: &mut Vec<u8>, number: u64, body: &FrameBody<'_>) -> FrameLocation {
    let at = u32::try_from(buffer.len()).expect("a batch has less than 4 GiB");
    FrameLocation {
        segment: PENDING,
        at,
        len: frame::write(buffer, number, body),
    }
}

fn extent(chunks: &[Chunk], place: FrameLocation) -> Extent {
    let (mut count, mut bytes) = (0, 0);
    for chunk in chunks {
        count += chunk.len();
        bytes += chunk.bytes();
    }
    let fits = "a frame has less than 4 GiB";
    Extent {
        first: chunks[0].first(),
        count: u32::try_from(count).expect(fits),
        bytes: u32::try_from(bytes).expect(fits),
        place,
    }
}
