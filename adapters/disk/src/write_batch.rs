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
    frame::{self, Frame, FrameBody, TombstoneFrame},
    live_bytes::{LiveBytes, TombstoneLocation},
    location::{Extent, FrameChange, FrameLocation, PENDING},
    pending::{Burial, CompactionQueue, PendingSession, WakeScope},
    segments::SegmentFiles,
    session::{DiskSession, DiskTable},
};

/// A batch that is being collected: the changed sessions, which are not visible yet, and the frames
/// that describe the changes.
pub(crate) struct WriteBatch {
    pub(crate) now: Duration,
    table: DiskTable,
    opened: Arc<SegmentFiles>,
    live_bytes: LiveBytes,
    max_append_bytes: usize,
    sessions: Vec<PendingSession>,
    by_id: HashMap<SessionId, usize>,
    // Tombstones that were written again: the id and number of each.
    moved: Vec<(SessionId, u64, FrameLocation)>,
    last_number: u64,
    // An empty header, and the frames.
    buffer: Vec<u8>,
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
        pending.status_changed |= effect.status_changed;
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
            Err(StoreError::Gone(_)) => return Ok(()),
            found => found?,
        };
        let pending = &mut self.sessions[at];
        if pending.machine.delete(how, self.now)? {
            pending.wake = WakeScope::All;
            self.bury(at);
        }
        Ok(())
    }

    /// Replaces expired sessions by their tombstones, and drops tombstones that are over.
    pub(crate) fn sweep(&mut self, limit: usize) -> usize {
        let (mut swept, mut after) = (0, None);
        while swept < limit {
            let next = self.table.index().due_after(after, self.now);
            let Some((key, entry)) = next else {
                break;
            };
            after = Some(key);
            if self.by_id.contains_key(&entry.id) {
                // The batch has a later state of it.
                continue;
            }
            let machine = entry.lock().machine.clone();
            if machine.check_present(self.now).is_ok() {
                // A hold has moved the expiry.
                self.table.update(&entry);
                continue;
            }
            let (id, number) = (entry.id.clone(), entry.number);
            let at = self.add(PendingSession::new(&id, number, Some(entry), machine));
            self.bury(at);
            swept += 1;
        }
        swept + self.table.index().sweep_tombstones(limit - swept, self.now)
    }

    /// Writes the tombstone of a session that was deleted or has expired. No other frame of the session
    /// is needed any more.
    pub(crate) fn bury(&mut self, at: usize) {
        let pending = &mut self.sessions[at];
        if pending.burial.is_some() {
            return;
        }
        pending.burial = match pending.machine.check_present(self.now) {
            Ok(()) => None,
            Err(StoreError::Gone(tombstone)) => {
                let left = TombstoneFrame {
                    id: pending.id.clone(),
                    tombstone,
                    until: pending.machine.tombstone_until().unwrap_or(self.now),
                };
                let body = FrameBody::Tombstone(&left);
                let location = put_frame(&mut self.buffer, pending.number, &body);
                Some(Burial::Tombstone(location))
            }
            Err(_) => Some(Burial::Nothing),
        };
    }

    /// Returns true if the session was deleted or has expired.
    pub(crate) fn is_gone(&self, at: usize) -> bool {
        self.sessions[at].machine.check_present(self.now).is_err()
    }

    /// Returns the ids of the tombstones in this segment.
    pub(crate) fn tombstones_in(&self, segment: u32) -> VecDeque<SessionId> {
        let index = self.table.index();
        let all = index.tombstones();
        all.filter(|left| left.data.segment() == segment)
            .map(|left| left.id.clone())
            .collect()
    }

    /// Writes a tombstone again, if it lies in this segment and is not over.
    pub(crate) fn move_tombstone(&mut self, id: &SessionId, segment: u32) {
        let found = {
            let index = self.table.index();
            let left = index.tombstone(id);
            left.filter(|left| left.data.segment() == segment && left.until > self.now)
                .map(|left| {
                    let frame = TombstoneFrame {
                        id: left.id.clone(),
                        tombstone: left.tombstone.clone(),
                        until: left.until,
                    };
                    (left.number, frame)
                })
        };
        if let Some((number, frame)) = found {
            let body = FrameBody::Tombstone(&frame);
            let location = put_frame(&mut self.buffer, number, &body);
            self.moved.push((frame.id, number, location));
        }
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

    fn add(&mut self, pending: PendingSession) -> usize {
        let at = self.sessions.len();
        self.by_id.insert(pending.id.clone(), at);
        self.sessions.push(pending);
        at
    }

    pub(crate) fn at(&self, pending: usize) -> &PendingSession {
        &self.sessions[pending]
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
        let request = if self.sessions[at].machine.is_sealed() {
            Some(Bytes::new())
        } else {
            self.request(at)
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
        match frame::read(&bytes)? {
            (number, Frame::Base(base)) if number == pending.number => {
                Some(Bytes::copy_from_slice(base.request))
            }
            _ => None,
        }
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
fn put_frame(buffer: &mut Vec<u8>, number: u64, body: &FrameBody<'_>) -> FrameLocation {
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
