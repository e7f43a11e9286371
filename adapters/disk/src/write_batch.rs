use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use unbroken::{
    log::{Chunk, Epoch, Lsn, SessionId},
    store::{
        AbortRequest, AfterAppend, AnswerOutcome, Appended, Claimed, Created, DeleteMode, Holder,
        LeaseChange, NewSession, SessionState, StoreError, StoredAnswer, Token,
        machine::{AnswerEffect, SessionMachine},
        table::TableEntry,
    },
};

use crate::{
    batch_header::BatchHeader,
    frame::{self, FrameBody},
    live_bytes::{LiveBytes, TombstoneLocation},
    location::{Extent, FrameChange, FrameLocation, PENDING},
    pending::{CompactionQueue, PendingSession, WakeScope},
    segments::SegmentFiles,
    session::{DiskSession, DiskTable},
};

/// A batch that is being collected: the changed sessions, which are not visible yet, and the frames
/// that describe the changes.
pub(crate) struct WriteBatch {
    pub(crate) now: Duration,
    pub(crate) table: DiskTable,
    pub(crate) opened: Arc<SegmentFiles>,
    live_bytes: LiveBytes,
    max_append_bytes: usize,
    sessions: Vec<PendingSession>,
    by_id: HashMap<SessionId, usize>,
    // Tombstones that were written again: the id and number of each.
    pub(crate) moved: Vec<(SessionId, u64, FrameLocation)>,
    last_number: u64,
    // An empty header, and the frames.
    pub(crate) buffer: Vec<u8>,
}

/// The most bytes of a request, so that a frame and a batch have less than 4 GiB.
const MAX_REQUEST: usize = 1 << 30;

impl WriteBatch {
    pub(crate) fn new(
        table: DiskTable,
        opened: Arc<SegmentFiles>,
        live_bytes: LiveBytes,
        max_append_bytes: usize,
    ) -> Self {
        let last_number = table.index().last_number();
        Self {
            now: Duration::ZERO,
            table,
            opened,
            live_bytes,
            max_append_bytes,
            sessions: Vec::new(),
            by_id: HashMap::new(),
            moved: Vec::new(),
            last_number,
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
        let taken = self
            .pending(id)
            .and_then(|at| self.sessions[at].machine.create(new.token, self.now));
        if !matches!(taken, Err(StoreError::NotFound)) {
            return taken;
        }
        if new.request.len() > MAX_REQUEST {
            return Err(StoreError::TooLarge { max: MAX_REQUEST });
        }
        let machine = SessionMachine::new(new, self.now);
        let epoch = machine.state(self.now).epoch;
        self.last_number += 1;
        self.add(PendingSession::new(id, self.last_number, None, machine));
        self.write_base(self.sessions.len() - 1, &new.request);
        Ok(Created::Created(epoch))
    }

    pub(crate) fn claim(
        &mut self,
        id: &SessionId,
        seen: Epoch,
        token: Token,
        lease: Duration,
    ) -> Result<Claimed, StoreError> {
        let at = self.pending(id)?;
        let request = self.request(at);
        let pending = &mut self.sessions[at];
        let before = pending.machine.clone();
        let epoch = pending.machine.claim(seen, token, lease, self.now)?;
        let Some(request) = request else {
            pending.machine = before;
            return Err(StoreError::Corrupt { lsn: Lsn::ZERO });
        };
        let state = pending.machine.state(self.now);
        pending.wake = WakeScope::All;
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
        let at = self.pending(id)?;
        let machine = &mut self.sessions[at].machine;
        machine.renew(epoch, lease, self.now)?;
        let state = machine.state(self.now);
        if lease.length().is_zero() {
            let pending = &mut self.sessions[at];
            pending.wake = pending.wake.max(WakeScope::Readers);
            self.write_state(at);
        }
        // Another lease is not written, since it ends with the process.
        Ok(state)
    }

    pub(crate) fn append(
        &mut self,
        id: &SessionId,
        chunk: &Chunk,
        after: AfterAppend,
    ) -> Result<Appended, StoreError> {
        let at = self.pending(id)?;
        let pending = &mut self.sessions[at];
        let effect = pending
            .machine
            .append(chunk, after, self.max_append_bytes, self.now)?;
        if !effect.is_new {
            return Ok(effect.appended);
        }
        pending.index_changed |= effect.status_changed;
        pending.wake = pending.wake.max(if pending.machine.is_sealed() {
            WakeScope::All
        } else {
            WakeScope::Readers
        });
        let body = FrameBody::Append(chunk, &pending.machine);
        let location = put_frame(&mut self.buffer, pending.number, &body);
        let change =
            FrameChange::Append(extent(std::slice::from_ref(chunk), location), chunk.epoch());
        pending.changes.push(change);
        Ok(effect.appended)
    }

    pub(crate) fn abort(
        &mut self,
        id: &SessionId,
        abort: AbortRequest,
    ) -> Result<SessionState, StoreError> {
        let at = self.pending(id)?;
        let pending = &mut self.sessions[at];
        let state = pending.machine.abort(abort, self.now)?;
        pending.wake = WakeScope::All;
        self.write_state(at);
        Ok(state)
    }

    pub(crate) fn answer(
        &mut self,
        id: &SessionId,
        answer: &StoredAnswer,
    ) -> Result<AnswerOutcome, StoreError> {
        let at = self.pending(id)?;
        let pending = &mut self.sessions[at];
        match pending.machine.answer(answer.clone(), self.now)? {
            AnswerEffect::Taken => return Ok(AnswerOutcome::Taken),
            AnswerEffect::AlreadyStored => {}
            AnswerEffect::Added => {
                pending.wake = WakeScope::All;
                let body = FrameBody::Answer(answer);
                let location = put_frame(&mut self.buffer, pending.number, &body);
                pending.changes.push(FrameChange::Answer(location));
            }
        }
        Ok(AnswerOutcome::Stored(pending.machine.state(self.now)))
    }

    pub(crate) fn hold(
        &mut self,
        id: &SessionId,
        by: Holder,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let at = self.pending(id)?;
        self.sessions[at].machine.hold(by, keep, self.now)?;
        self.write_state(at);
        Ok(())
    }

    pub(crate) fn delete(&mut self, id: &SessionId, how: DeleteMode) -> Result<(), StoreError> {
        let at = match self.pending(id) {
            Err(StoreError::Gone(_)) if how.accepts_gone() => return Ok(()),
            found => found?,
        };
        let pending = &mut self.sessions[at];
        if pending.machine.delete(how, self.now)? {
            pending.wake = WakeScope::All;
            if pending.machine.has_ending(self.now) {
                // What remains is a session without records and request, which holds the ending.
                pending.index_changed = true;
                self.write_base(at, &Bytes::new());
            } else if matches!(how, DeleteMode::Withdrawn(_)) {
                self.erase(at);
            } else {
                self.bury(at);
            }
        }
        Ok(())
    }

    /// Returns the index of the session with this id in the batch, and adds it if necessary.
    pub(crate) fn pending(&mut self, id: &SessionId) -> Result<usize, StoreError> {
        if let Some(&at) = self.by_id.get(id) {
            return Ok(at);
        }
        let entry = self.table.index().find(id, self.now).cloned()?;
        let machine = entry.lock().machine.clone();
        Ok(self.add(PendingSession::new(id, entry.number, Some(entry), machine)))
    }

    /// Returns the index of this session in the batch, if its id still belongs to it.
    pub(crate) fn pending_entry(&mut self, entry: &TableEntry<DiskSession>) -> Option<usize> {
        let at = self.pending(&entry.id).ok()?;
        (self.at(at).number == entry.number).then_some(at)
    }

    pub(crate) fn add(&mut self, pending: PendingSession) -> usize {
        let at = self.sessions.len();
        self.by_id.insert(pending.id.clone(), at);
        self.sessions.push(pending);
        at
    }

    pub(crate) fn at(&self, pending: usize) -> &PendingSession {
        &self.sessions[pending]
    }

    pub(crate) fn at_mut(&mut self, pending: usize) -> &mut PendingSession {
        &mut self.sessions[pending]
    }

    /// Returns true if the batch has a later state of the session that has this id in the table.
    pub(crate) fn has_changed(&self, id: &SessionId) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn write_state(&mut self, at: usize) {
        let pending = &mut self.sessions[at];
        let location = put_frame(
            &mut self.buffer,
            pending.number,
            &FrameBody::State(&pending.machine),
        );
        pending.changes.push(FrameChange::State(location));
    }

    fn write_base(&mut self, at: usize, request: &Bytes) {
        let pending = &mut self.sessions[at];
        let body = FrameBody::Base {
            id: &pending.id,
            meta: pending.machine.meta(),
            request,
            machine: &pending.machine,
        };
        let location = put_frame(&mut self.buffer, pending.number, &body);
        pending.changes.push(FrameChange::Base(location));
    }

    /// Writes records once more in one frame. The chunks follow one another in one epoch.
    pub(crate) fn write_run(&mut self, at: usize, chunks: &[Chunk]) {
        let pending = &mut self.sessions[at];
        let location = put_frame(&mut self.buffer, pending.number, &FrameBody::Run(chunks));
        let change = FrameChange::Run(extent(chunks, location), chunks[0].epoch());
        pending.changes.push(change);
    }

    /// Writes the base of a session once more. Returns false if its request can't be read.
    pub(crate) fn move_base(&mut self, at: usize) -> bool {
        let machine = &self.sessions[at].machine;
        let may_be_asked_for = !machine.is_sealed() || machine.has_ending(self.now);
        let request = if may_be_asked_for && !machine.is_deleted() {
            self.request(at)
        } else {
            Some(Bytes::new())
        };
        if let Some(request) = &request {
            self.write_base(at, request);
        }
        request.is_some()
    }

    /// Returns the request that the session was created with, if it can be read.
    fn request(&self, at: usize) -> Option<Bytes> {
        let pending = &self.sessions[at];
        let bases = pending
            .changes
            .iter()
            .rev()
            .filter_map(|change| match change {
                FrameChange::Base(location) => Some(*location),
                _ => None,
            });
        let session = pending.entry.iter().map(|entry| entry.lock().base);
        let location = bases.chain(session).next()?;
        let bytes = if location.segment == PENDING {
            self.buffer[location.at as usize..][..location.len as usize].to_vec()
        } else {
            self.opened.read(location).ok()?
        };
        frame::read_request(&bytes, pending.number)
    }

    /// Returns the records of an extent, if they can be read.
    pub(crate) fn chunk(&self, number: u64, extent: &Extent) -> Option<Chunk> {
        let bytes = self.opened.read(extent.location).ok()?;
        frame::read_extent(&bytes, number, extent)
    }

    /// Returns the sessions that need a frame of this segment.
    pub(crate) fn sessions_in(&self, segment: u32) -> VecDeque<Arc<TableEntry<DiskSession>>> {
        const BATCH: usize = 1024;
        let mut found = VecDeque::new();
        let mut from = u64::MAX;
        loop {
            let batch = self.table.index().older_than(from, BATCH);
            let Some(last) = batch.last() else {
                return found;
            };
            from = last.number;
            let users = batch
                .into_iter()
                .filter(|entry| entry.lock().uses_segment(segment));
            found.extend(users);
        }
    }

    /// Makes the changes visible. The batch was written at this segment and offset.
    pub(crate) fn publish(self, queue: &mut CompactionQueue, segment: u32, start: u32) {
        for pending in self.sessions {
            pending.publish(
                &self.table,
                self.now,
                &self.live_bytes,
                queue,
                (segment, start),
            );
        }
        for (id, number, mut location) in self.moved {
            location.relocate(segment, start);
            let mut index = self.table.index();
            let is_there = index.tombstone(&id).is_some_and(|it| it.number == number);
            if let Some(data) = index.tombstone_data(&id).filter(|_| is_there) {
                *data = TombstoneLocation::new(location, &self.live_bytes);
            }
        }
    }
}

/// Appends a frame to the buffer of a batch.
pub(crate) fn put_frame(buffer: &mut Vec<u8>, number: u64, body: &FrameBody<'_>) -> FrameLocation {
    let at = u32::try_from(buffer.len()).expect("a batch has less than 4 GiB");
    FrameLocation {
        segment: PENDING,
        at,
        len: frame::write(buffer, number, body),
    }
}

fn extent(chunks: &[Chunk], location: FrameLocation) -> Extent {
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
        location,
    }
}
