//! Recovery: reads the log files when a store is opened.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::Path,
    time::Duration,
};

use unbroken::log::SessionId;

use crate::{
    batch_header::BatchHeader,
    frame::{self, Frame, RawRecords, RawState, SessionFrame, TombstoneFrame},
    location::{Extent, FrameChange, FrameLocation},
    segments::{self, WritePosition},
    session::DiskSession,
};

/// The sessions and the end of the log, as found in the files.
#[derive(Debug, Default)]
pub(crate) struct RecoveredLog {
    /// The sessions by their numbers.
    pub(crate) sessions: BTreeMap<u64, (SessionId, DiskSession)>,
    /// The tombstones by the numbers of their sessions.
    pub(crate) tombstones: BTreeMap<u64, (TombstoneFrame, FrameLocation)>,
    /// The highest number of a session in the files.
    pub(crate) last_number: u64,
    /// The used bytes of each file.
    pub(crate) sizes: BTreeMap<u32, u64>,
    pub(crate) end: WritePosition,
    /// The latest time in the log, by the store's clock.
    pub(crate) time: Duration,
    // The number of the session that has each id now.
    ids: HashMap<SessionId, u64>,
    // Records that come before the base of their session, because it was written again later.
    before_base: HashMap<u64, Vec<FrameChange>>,
}

impl RecoveredLog {
    /// Reads every log file of the directory.
    pub(crate) fn read(directory: &Path, salt: u64) -> io::Result<Self> {
        let mut found = Self::default();
        let files = segments::list(directory)?;
        for (at, (segment, path)) in files.iter().enumerate() {
            let bytes = fs::read(path)?;
            let newest = at + 1 == files.len();
            let end = found.segment(salt, *segment, &bytes, newest);
            found.sizes.insert(*segment, end);
            (found.end.segment, found.end.at) = (*segment, end);
        }
        Ok(found)
    }

    /// Reads a file, and returns the offset at which its content ends.
    ///
    /// Every batch was synced before the next one was written. So only the last batch of the newest
    /// file can be incomplete, and then it was never acknowledged. Other unreadable data was damaged
    /// later; the frames around it count.
    fn segment(&mut self, salt: u64, segment: u32, bytes: &[u8], newest: bool) -> u64 {
        let (mut at, mut end) = (0, 0);
        while at < bytes.len() {
            let header = BatchHeader::read(salt, &bytes[at..]);
            let begin = at + BatchHeader::LEN;
            let whole = header.and_then(|header| {
                let until = begin.checked_add(usize::try_from(header.len).ok()?)?;
                let frames = bytes.get(begin..until)?;
                is_whole(frames).then_some(until)
            });
            if let Some(header) = header {
                self.time = self.time.max(header.time);
            }
            if let (Some(header), Some(until)) = (header, whole) {
                self.frames(segment, bytes, begin..until);
                self.end.sequence = self.end.sequence.max(header.sequence);
                (at, end) = (until, until);
                continue;
            }
            let next = BatchHeader::find(salt, bytes, at + 1);
            match next {
                None if newest || header.is_none() => {
                    let left = bytes[at..].iter().rposition(|&byte| byte != 0);
                    if let Some(left) = left {
                        tracing::warn!(
                            segment,
                            at,
                            bytes = left + 1,
                            "a batch that was never acknowledged is dropped"
                        );
                    }
                    break;
                }
                _ => {}
            }
            tracing::error!(
                segment,
                at,
                "a part of the store can't be read; sessions may be cut or corrupt"
            );
            let until = next.unwrap_or(bytes.len());
            self.frames(segment, bytes, begin.min(until)..until);
            (at, end) = (until, until);
        }
        end as u64
    }

    /// Takes the intact frames of this range.
    fn frames(&mut self, segment: u32, bytes: &[u8], range: std::ops::Range<usize>) {
        let mut at = range.start;
        while let Some(len) = frame::length(&bytes[at..range.end]) {
            let Some(whole) = bytes.get(at..at + len).filter(|_| at + len <= range.end) else {
                break;
            };
            if let (Some((number, frame)), Ok(from), Ok(size)) =
                (frame::read(whole), u32::try_from(at), u32::try_from(len))
            {
                let location = FrameLocation {
                    segment,
                    at: from,
                    len: size,
                };
                self.take(number, &frame, location);
            }
            at += len;
        }
    }

    fn take(&mut self, number: u64, frame: &Frame<'_>, location: FrameLocation) {
        self.last_number = self.last_number.max(number);
        match frame {
            Frame::Base(base) => self.base(number, base, location),
            Frame::State(state) => self.state(number, *state, FrameChange::State(location)),
            Frame::Append(records, state) => {
                let change = FrameChange::Append(extent(records, location), records.epoch);
                self.state(number, *state, change);
            }
            Frame::Run(records) => {
                let change = FrameChange::Run(extent(records, location), records.epoch);
                match self.sessions.get_mut(&number) {
                    Some((_, session)) => session.apply(change),
                    None => self.before_base.entry(number).or_default().push(change),
                }
            }
            Frame::Tombstone(left) => self.tombstone(number, left, location),
            Frame::Answer(answer) => {
                // A later base contains the answers before it.
                if let Some((_, session)) = self.sessions.get_mut(&number) {
                    let mut answers = session.machine.answers().clone();
                    answers.push(answer.clone());
                    session.machine = session.machine.clone().with_answers(answers);
                    session.apply(FrameChange::Answer(location));
                }
            }
        }
    }

    fn base(&mut self, number: u64, base: &SessionFrame<'_>, location: FrameLocation) {
        let Some(machine) = base.machine.machine(base.meta.clone()) else {
            return;
        };
        let machine = machine.with_answers(base.answers.clone());
        if let Some((_, session)) = self.sessions.get_mut(&number) {
            session.machine = machine;
            session.apply(FrameChange::Base(location));
            return;
        }
        self.take_id(&base.id, number);
        let mut session = DiskSession::new(machine, location);
        for change in self.before_base.remove(&number).into_iter().flatten() {
            session.apply(change);
        }
        // The base is later than the states that came with those records.
        session.apply(FrameChange::Base(location));
        self.sessions.insert(number, (base.id.clone(), session));
    }

    fn tombstone(&mut self, number: u64, left: &TombstoneFrame, location: FrameLocation) {
        if self.ids.get(&left.id).is_some_and(|&now| now > number) {
            return;
        }
        self.take_id(&left.id, number);
        self.sessions.remove(&number);
        self.before_base.remove(&number);
        self.tombstones.insert(number, (left.clone(), location));
    }

    /// Notes that the id belongs to this session, and drops the one that had it before.
    fn take_id(&mut self, id: &SessionId, number: u64) {
        let former = self.ids.insert(id.clone(), number);
        if let Some(former) = former.filter(|&former| former != number) {
            self.sessions.remove(&former);
            self.tombstones.remove(&former);
        }
    }

    fn state(&mut self, number: u64, state: RawState<'_>, change: FrameChange) {
        let Some((_, session)) = self.sessions.get_mut(&number) else {
            if matches!(change, FrameChange::Append(..)) {
                self.before_base.entry(number).or_default().push(change);
            }
            return;
        };
        if let Some(machine) = state.machine(session.machine.meta().clone()) {
            session.machine = machine.with_answers(session.machine.answers().clone());
            session.apply(change);
        }
    }
}

/// Returns the extent of these records.
fn extent(records: &RawRecords<'_>, location: FrameLocation) -> Extent {
    Extent {
        first: records.first,
        count: records.count,
        bytes: u32::try_from(records.bytes()).expect("a frame has less than 4 GiB"),
        location,
    }
}

fn is_whole(mut frames: &[u8]) -> bool {
    while !frames.is_empty() {
        match frame::length(frames) {
            Some(len) if frame::read(frames).is_some() => frames = &frames[len..],
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::frame::FrameBody;
    use unbroken::{
        log::{ChunkBuilder, Digest, Epoch, Lsn, ServiceName},
        store::{
            AbortRequest, AfterAppend, NewSession, SessionMeta, Token, machine::SessionMachine,
        },
    };

    const SALT: u64 = 0x1234_5678_9abc_def0;
    const NOW: Duration = Duration::from_secs(1);

    /// The content of a log file: batches of frames.
    #[derive(Default)]
    struct TestLog {
        bytes: Vec<u8>,
        sequence: u64,
    }

    impl TestLog {
        /// Adds a batch, and returns the offsets of its frames.
        fn batch(&mut self, bodies: &[FrameBody<'_>]) -> Vec<usize> {
            let start = self.bytes.len();
            self.bytes.resize(start + BatchHeader::LEN, 0);
            let mut offsets = Vec::new();
            for body in bodies {
                offsets.push(self.bytes.len());
                frame::write(&mut self.bytes, 1, body);
            }
            self.sequence += 1;
            let header = BatchHeader {
                sequence: self.sequence,
                time: NOW,
                len: u32::try_from(self.bytes.len() - start - BatchHeader::LEN).unwrap(),
            };
            header.write(SALT, &mut self.bytes[start..]);
            offsets
        }

        fn found(&self, newest: bool) -> (RecoveredLog, u64) {
            let mut found = RecoveredLog::default();
            let end = found.segment(SALT, 1, &self.bytes, newest);
            (found, end)
        }
    }

    /// Returns a log of two batches (a session and its first record; its second record and an abort),
    /// the end of the first batch and the offset of the second record.
    fn log() -> (TestLog, usize, usize) {
        let meta = Arc::new(SessionMeta {
            owner: None,
            chat: None,
            service: ServiceName::new("a service"),
            digest: Digest([0; 32]),
            format: 1,
            outbox: None,
        });
        let request = Bytes::new();
        let new = NewSession {
            meta: meta.clone(),
            request: request.clone(),
            token: Token(1),
            lease: NOW,
            tombstone: NOW,
        };
        let id = SessionId::random();
        let mut machine = SessionMachine::new(&new, NOW);
        let epoch = machine.state(NOW).epoch;
        let created = machine.clone();
        let one = |lsn| {
            let mut batch = ChunkBuilder::new();
            batch.push(b"a record");
            batch.take(Lsn::new(lsn), epoch).unwrap()
        };
        let [first, second] = [one(1), one(2)];
        machine
            .append(&first, AfterAppend::Streaming, 99, NOW)
            .unwrap();
        let after_first = machine.clone();
        machine
            .append(&second, AfterAppend::Streaming, 99, NOW)
            .unwrap();
        let after_second = machine.clone();
        machine.abort(AbortRequest::default(), NOW).unwrap();

        let mut log = TestLog::default();
        let base = FrameBody::Base {
            id: &id,
            meta: &meta,
            request: &request,
            machine: &created,
        };
        log.batch(&[base, FrameBody::Append(&first, &after_first)]);
        let end = log.bytes.len();
        let offsets = log.batch(&[
            FrameBody::Append(&second, &after_second),
            FrameBody::State(&machine),
        ]);
        (log, end, offsets[0])
    }

    fn only(found: &RecoveredLog) -> &DiskSession {
        assert_eq!(found.sessions.len(), 1);
        &found.sessions[&1].1
    }

    #[test]
    fn a_last_batch_counts_wholly_or_not_at_all() {
        let (mut log, end, append) = log();
        let (found, until) = log.found(true);
        assert_eq!(until, log.bytes.len() as u64);
        assert_eq!(only(&found).machine.tail(), Lsn::new(2));

        log.bytes[append + frame::SHORTEST] ^= 1;
        let (found, until) = log.found(true);
        let session = only(&found);
        assert_eq!(until, end as u64);
        assert_eq!(
            session.machine.tail(),
            Lsn::new(1),
            "the state behind it counted"
        );
        assert_eq!(session.machine.state(NOW).abort, None);
    }

    #[test]
    fn a_synced_batch_counts_except_for_its_corrupt_frames() {
        let (mut log, _, append) = log();
        log.bytes[append + frame::SHORTEST] ^= 1;
        let (found, until) = log.found(false);
        let session = only(&found);
        assert_eq!(until, log.bytes.len() as u64);
        assert_eq!(session.machine.tail(), Lsn::new(2));
        assert_eq!(session.extents.len(), 1, "the corrupt record is missing");
    }

    #[test]
    fn records_before_a_moved_base_count() {
        let (log, end, _) = log();
        // As if the file of the first batch was removed after its base was written again.
        let (found, _) = log.found(true);
        let session = only(&found);
        let meta = session.machine.meta().clone();
        let id = found.sessions[&1].0.clone();
        let mut moved = TestLog {
            bytes: log.bytes[end..].to_vec(),
            sequence: 2,
        };
        moved.batch(&[FrameBody::Base {
            id: &id,
            meta: &meta,
            request: &Bytes::new(),
            machine: &session.machine,
        }]);
        let (found, _) = moved.found(true);
        let session = only(&found);
        assert_eq!(session.extents.len(), 1);
        assert_eq!(session.extents[0].first, Lsn::new(2));
        assert_eq!(session.latest, session.base);
        let epoch: Option<Epoch> = Some(session.machine.state(NOW).epoch);
        assert_eq!(session.tag_at(Lsn::new(2)), epoch.map(Epoch::tag));
    }
}
