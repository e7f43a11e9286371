//! Finds out from the files what was stored.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::Path,
    time::Duration,
};

use super::{
    batch_header::BatchHeader,
    frame::{self, Frame, RawRecords, RawState, SessionFrame},
    segments::{self, WritePosition},
    session::{DiskSession, Extent, FrameChange, FrameLocation},
};
use unbroken::log::{Chunk, SessionId};

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct RecoveredLog {
    /// By their numbers.
    pub(crate) sessions: BTreeMap<u64, (SessionId, DiskSession)>,
    /// How much of each file is in use.
    pub(crate) sizes: BTreeMap<u32, u64>,
    pub(crate) end: WritePosition,
    /// The latest time that the store knew.
    pub(crate) time: Duration,
    // Under which number each id stands now.
    ids: HashMap<SessionId, u64>,
    // RawRecords that came before their session's base, which was moved to a later place.
    early: HashMap<u64, Vec<FrameChange>>,
}

impl RecoveredLog {
    /// Reads every file in the directory.
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

    /// Reads a file; says where what it holds ends.
    ///
    /// Every batch but the last one was synced before the next was written, so only the last one of
    /// the newest file can be half there, and then nobody was told of it. Anything else that can't
    /// be read is harm done later: what is unharmed around it counts.
    fn segment(&mut self, salt: u64, segment: u32, bytes: &[u8], newest: bool) -> u64 {
        let (mut at, mut end) = (0, 0);
        while at < bytes.len() {
            let head = BatchHeader::read(salt, &bytes[at..]);
            let begin = at + BatchHeader::LEN;
            let whole = head.and_then(|head| {
                let until = begin.checked_add(usize::try_from(head.len).ok()?)?;
                let frames = bytes.get(begin..until)?;
                is_whole(frames).then_some(until)
            });
            if let Some(head) = head {
                self.time = self.time.max(head.time);
            }
            if let (Some(head), Some(until)) = (head, whole) {
                self.frames(segment, bytes, begin..until);
                self.end.sequence = self.end.sequence.max(head.sequence);
                (at, end) = (until, until);
                continue;
            }
            let next = BatchHeader::find(salt, bytes, at + 1);
            match next {
                None if newest || head.is_none() => {
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

    /// Takes what is unharmed of these frames.
    fn frames(&mut self, segment: u32, bytes: &[u8], range: std::ops::Range<usize>) {
        let mut at = range.start;
        while let Some(len) = frame::length(&bytes[at..range.end]) {
            let Some(whole) = bytes.get(at..at + len).filter(|_| at + len <= range.end) else {
                break;
            };
            if let (Some((number, frame)), Ok(from), Ok(size)) =
                (frame::read(whole), u32::try_from(at), u32::try_from(len))
            {
                let place = FrameLocation {
                    segment,
                    at: from,
                    len: size,
                };
                self.take(number, &frame, place);
            }
            at += len;
        }
    }

    fn take(&mut self, number: u64, frame: &Frame<'_>, place: FrameLocation) {
        match frame {
            Frame::Base(base) => self.base(number, base, place),
            Frame::State(state) => self.state(number, *state, FrameChange::State(place)),
            Frame::Append(records, state) => {
                let change = FrameChange::Append(extent(records, place), records.epoch);
                self.state(number, *state, change);
            }
            Frame::Run(records) => {
                let change = FrameChange::Run(extent(records, place), records.epoch);
                match self.sessions.get_mut(&number) {
                    Some((_, kept)) => kept.apply(change),
                    None => self.early.entry(number).or_default().push(change),
                }
            }
            Frame::Answer(answer) => {
                // What comes before the base is in the base.
                if let Some((_, kept)) = self.sessions.get_mut(&number) {
                    let mut answers = kept.machine.answers().clone();
                    answers.push(answer.clone());
                    kept.machine = kept.machine.clone().with_answers(answers);
                    kept.apply(FrameChange::Answer(place));
                }
            }
        }
    }

    fn base(&mut self, number: u64, base: &SessionFrame<'_>, place: FrameLocation) {
        let Some(machine) = base.machine.machine(base.info.clone()) else {
            return;
        };
        let machine = machine.with_answers(base.answers.clone());
        if let Some((_, kept)) = self.sessions.get_mut(&number) {
            kept.machine = machine;
            kept.apply(FrameChange::Base(place));
            return;
        }
        let former = self.ids.insert(base.id.clone(), number);
        if let Some(former) = former {
            self.sessions.remove(&former);
        }
        let mut kept = DiskSession::new(machine, place);
        for change in self.early.remove(&number).into_iter().flatten() {
            kept.apply(change);
        }
        // It is later than the states that came with those.
        kept.apply(FrameChange::Base(place));
        self.sessions.insert(number, (base.id.clone(), kept));
    }

    fn state(&mut self, number: u64, state: RawState<'_>, change: FrameChange) {
        let Some((_, kept)) = self.sessions.get_mut(&number) else {
            if matches!(change, FrameChange::Append(..)) {
                self.early.entry(number).or_default().push(change);
            }
            return;
        };
        if let Some(machine) = state.machine(kept.machine.info().clone()) {
            kept.machine = machine.with_answers(kept.machine.answers().clone());
            kept.apply(change);
        }
    }
}

/// Where these records are.
pub(crate) fn extent(records: &RawRecords<'_>, place: FrameLocation) -> Extent {
    Extent {
        first: records.first,
        count: records.count,
        bytes: u32::try_from(records.bytes()).expect("a frame has less than 4 GiB"),
        place,
    }
}

/// The records of this extent, if this frame has them.
pub(crate) fn records(frame: &[u8], number: u64, extent: &Extent) -> Option<Chunk> {
    let (of, frame) = frame::read(frame)?;
    let records = match frame {
        Frame::Append(records, _) | Frame::Run(records) => records,
        Frame::Base(_) | Frame::State(_) | Frame::Answer(_) => return None,
    };
    let its = of == number && records.first == extent.first && records.count == extent.count;
    records
        .chunk()
        .filter(|chunk| its && chunk.last() == extent.last())
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

    /// Batches of frames as they would lie in a file.
    #[derive(Default)]
    struct TestLog {
        bytes: Vec<u8>,
        sequence: u64,
    }

    impl TestLog {
        /// Adds a batch; says where its frames begin.
        fn batch(&mut self, bodies: &[FrameBody<'_>]) -> Vec<usize> {
            let start = self.bytes.len();
            self.bytes.resize(start + BatchHeader::LEN, 0);
            let mut places = Vec::new();
            for body in bodies {
                places.push(self.bytes.len());
                frame::write(&mut self.bytes, 1, body);
            }
            self.sequence += 1;
            let head = BatchHeader {
                sequence: self.sequence,
                time: NOW,
                len: u32::try_from(self.bytes.len() - start - BatchHeader::LEN).unwrap(),
            };
            head.write(SALT, &mut self.bytes[start..]);
            places
        }

        fn found(&self, newest: bool) -> (RecoveredLog, u64) {
            let mut found = RecoveredLog::default();
            let end = found.segment(SALT, 1, &self.bytes, newest);
            (found, end)
        }
    }

    /// A session, its first record, and its second with an abort right behind, in two batches.
    fn log() -> (TestLog, usize, usize) {
        let info = Arc::new(SessionMeta {
            owner: None,
            chat: None,
            service: ServiceName::new("a service"),
            digest: Digest([0; 32]),
            format: 1,
        });
        let request = Bytes::new();
        let new = NewSession {
            info: info.clone(),
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
            info: &info,
            request: &request,
            machine: &created,
        };
        log.batch(&[base, FrameBody::Append(&first, &after_first)]);
        let end = log.bytes.len();
        let places = log.batch(&[
            FrameBody::Append(&second, &after_second),
            FrameBody::State(&machine),
        ]);
        (log, end, places[0])
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
        let kept = only(&found);
        assert_eq!(until, end as u64);
        assert_eq!(
            kept.machine.tail(),
            Lsn::new(1),
            "the state behind it counted"
        );
        assert_eq!(kept.machine.state(NOW).abort, None);
    }

    #[test]
    fn a_batch_that_was_synced_counts_but_for_what_is_harmed() {
        let (mut log, _, append) = log();
        log.bytes[append + frame::SHORTEST] ^= 1;
        let (found, until) = log.found(false);
        let kept = only(&found);
        assert_eq!(until, log.bytes.len() as u64);
        assert_eq!(kept.machine.tail(), Lsn::new(2));
        assert_eq!(kept.extents.len(), 1, "the harmed record is missing");
    }

    #[test]
    fn records_count_that_lie_before_a_base_that_was_moved() {
        let (log, end, _) = log();
        // As if the file with the first batch were gone, and its base had been moved behind.
        let (found, _) = log.found(true);
        let kept = only(&found);
        let info = kept.machine.info().clone();
        let id = found.sessions[&1].0.clone();
        let mut moved = TestLog {
            bytes: log.bytes[end..].to_vec(),
            sequence: 2,
        };
        moved.batch(&[FrameBody::Base {
            id: &id,
            info: &info,
            request: &Bytes::new(),
            machine: &kept.machine,
        }]);
        let (found, _) = moved.found(true);
        let kept = only(&found);
        assert_eq!(kept.extents.len(), 1);
        assert_eq!(kept.extents[0].first, Lsn::new(2));
        assert_eq!(kept.latest, kept.base);
        let epoch: Option<Epoch> = Some(kept.machine.state(NOW).epoch);
        assert_eq!(kept.tag_at(Lsn::new(2)), epoch.map(Epoch::tag));
    }
}
