use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::BytesMut;

use crate::{
    log::{Chunk, ChunkBuilder, Ending, Epoch, Lsn, Outcome},
    session::{Format, Limits, Mark, format::summary},
    store::{AfterAppend, Seal},
};

/// The most records of one batch.
const BATCH_RECORDS: usize = 1024;
/// The size of a buffer that records are written into, one after the other. A single token has a record of
/// about 50 bytes.
const BLOCK: usize = 512;
/// The room for one more record below which the next one begins a new buffer.
const MIN_ROOM: usize = 96;
/// The bytes at which a batch is closed; a reader's batch has as many at the most.
const BATCH_BYTES: usize = 16 * 1024;

/// The records that a writer has written and the store has not acknowledged.
///
/// Records are collected into an open batch. A frozen batch never changes: it is sent until the
/// store answers definitely, and no other batch overtakes it.
#[derive(Debug)]
pub(super) struct AppendBuffer {
    epoch: Epoch,
    // Of the first record of the open batch.
    next: Lsn,
    open: ChunkBuilder,
    frozen: VecDeque<(Chunk, AfterAppend)>,
    frozen_bytes: usize,
    // Of the whole session.
    records: u64,
    bytes: u64,
    waiting: bool,
    ended: Option<Outcome>,
    // The store refused a record, and the log ends because of it.
    refused: bool,
    limits: Limits,
    keep: Duration,
    // Makes the summary of the seal, if the ending goes into the outbox.
    format: Option<Arc<dyn Format>>,
}

/// The size of the log of a session that was taken over.
#[derive(Debug, Clone, Copy)]
pub(in crate::session) struct LogUsage {
    pub(in crate::session) tail: Lsn,
    /// The bytes of all records together.
    pub(in crate::session) bytes: u64,
    /// True if a question was open.
    pub(in crate::session) waiting: bool,
}

impl AppendBuffer {
    /// Creates the buffer of a new session, which is kept for `keep` after its end.
    pub(super) fn new(epoch: Epoch, limits: Limits, keep: Duration) -> Self {
        Self {
            epoch,
            next: Lsn::ZERO.next(),
            open: ChunkBuilder::new(),
            // Most often there is one.
            frozen: VecDeque::with_capacity(1),
            frozen_bytes: 0,
            records: 0,
            bytes: 0,
            waiting: false,
            ended: None,
            refused: false,
            limits,
            keep,
            format: None,
        }
    }

    /// Adds to the seal the summary that this format makes of the terminal record.
    pub(super) fn summarizing(self, format: Option<Arc<dyn Format>>) -> Self {
        Self { format, ..self }
    }

    /// Continues after the log of a former owner.
    pub(super) fn resuming(self, usage: LogUsage) -> Self {
        Self {
            next: usage.tail.next(),
            records: usage.tail.get(),
            bytes: usage.bytes,
            waiting: usage.waiting,
            ..self
        }
    }

    /// Returns the buffer for the next record.
    pub(super) fn record_buffer(&mut self) -> &mut BytesMut {
        let begins_batch = self.open.is_empty();
        let buffer = self.open.buffer();
        if begins_batch && buffer.capacity() < MIN_ROOM {
            *buffer = BytesMut::with_capacity(BLOCK);
        }
        buffer
    }

    /// Sets whether a question is open.
    pub(super) fn set_waiting(&mut self, waiting: bool) {
        self.waiting = waiting;
    }

    /// Adds the record that was written to the log.
    ///
    /// # Errors
    ///
    /// The ending for a record that passes a limit. The record isn't added then.
    pub(super) fn accept(&mut self, mark: Mark) -> Result<(), Ending> {
        debug_assert!(self.ended.is_none(), "nothing follows the terminal record");
        let size = self.open.end_record();
        let bytes = self.bytes + size as u64;
        let terminal = matches!(mark, Mark::Terminal(_));
        let most = match mark {
            Mark::Event | Mark::Terminal(_) | Mark::Withdraw => self.limits.event_bytes as u64,
            Mark::Barrier | Mark::Waiting | Mark::Gate { .. } => {
                let event = self.limits.event_bytes as u64;
                event.max(self.limits.session_bytes)
            }
        };
        let refused = if size as u64 > most {
            Some(Ending::EventBytes)
        } else if terminal {
            None
        } else if self.records == self.limits.session_events {
            Some(Ending::SessionEvents)
        } else if bytes > self.limits.session_bytes {
            Some(Ending::SessionBytes)
        } else {
            None
        };
        if let Some(ending) = refused {
            self.open.pop();
            return Err(ending);
        }
        self.records += 1;
        self.bytes = bytes;
        self.waiting = mark == Mark::Waiting;
        if let Mark::Terminal(outcome) = mark {
            self.ended = Some(outcome);
        }
        Ok(())
    }

    /// Writes the terminal record of an ending, unless one is written already.
    pub(super) fn end(&mut self, ending: &Ending, record: &[u8]) {
        if self.ended.is_some() {
            return;
        }
        self.open.discard_open_record();
        self.open.push(record);
        self.ended = Some(ending.outcome());
    }

    /// Freezes the open batch, if it has records.
    pub(super) fn freeze(&mut self) {
        if let Some(chunk) = self.open.take(self.next, self.epoch) {
            let then = match self.ended {
                Some(outcome) => {
                    let seal = Seal::new(outcome, self.keep);
                    AfterAppend::Seal(seal.summary(summary(self.format.as_deref(), &chunk)))
                }
                None if self.waiting => AfterAppend::Waiting,
                None => AfterAppend::Streaming,
            };
            self.next = chunk.last().next();
            self.frozen_bytes += chunk.bytes();
            self.frozen.push_back((chunk, then));
        }
    }

    /// Returns the batch to send, or to send again.
    pub(super) fn front(&self) -> Option<&(Chunk, AfterAppend)> {
        self.frozen.front()
    }

    /// Removes the front batch, which the store has acknowledged.
    pub(super) fn acknowledged(&mut self) -> Option<(Chunk, AfterAppend)> {
        let front = self.frozen.pop_front()?;
        self.frozen_bytes -= front.0.bytes();
        Some(front)
    }

    /// Replaces the front batch, which the store refuses as too large. Several records are split into
    /// two batches. A single one is dropped with all that follows, and the log ends in its place.
    ///
    /// Returns false if the store refuses even the terminal record.
    #[must_use]
    pub(super) fn refused(&mut self, record: &[u8]) -> bool {
        let Some((chunk, then)) = self.frozen.pop_front() else {
            return false;
        };
        let middle = chunk.first().plus(chunk.len() as u64 / 2).before();
        if let (Some(head), Some(rest)) = (chunk.up_to(middle), chunk.after(middle)) {
            self.frozen.push_front((rest, then));
            self.frozen.push_front((head, AfterAppend::Streaming));
            return true;
        }
        if matches!(then, AfterAppend::Seal(_)) && self.refused {
            return false;
        }
        self.refused = true;
        self.next = chunk.first();
        self.frozen.clear();
        self.frozen_bytes = 0;
        self.open = ChunkBuilder::new();
        self.ended = None;
        self.end(&Ending::EventBytes, record);
        self.freeze();
        true
    }

    /// Returns true if the open batch should be frozen before more is written.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= BATCH_RECORDS || self.open.bytes() >= BATCH_BYTES
    }

    /// Returns how many bytes are not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        self.frozen_bytes + self.open.bytes()
    }

    /// Returns true once the terminal record is written.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Returns true if the session waits for a person or a client tool.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn record(ending: &Ending) -> Bytes {
        format!("{ending:?}").into()
    }

    fn buffer(limits: Limits) -> AppendBuffer {
        AppendBuffer::new(Epoch::first(), limits, Duration::ZERO)
    }

    fn write(buffer: &mut AppendBuffer, size: usize, mark: Mark) -> Result<(), Ending> {
        buffer.record_buffer().extend_from_slice(&vec![b'x'; size]);
        buffer.accept(mark)
    }

    #[test]
    fn each_limit_takes_what_is_equal_and_refuses_one_more() {
        let event = || buffer(Limits::default().event_bytes(10));
        assert_eq!(write(&mut event(), 10, Mark::Event), Ok(()));
        assert_eq!(
            write(&mut event(), 11, Mark::Event),
            Err(Ending::EventBytes)
        );

        // A barrier may be as large as the session.
        assert_eq!(write(&mut event(), 11, Mark::Barrier), Ok(()));
        let mut barrier = buffer(Limits::default().event_bytes(10).session_bytes(20));
        assert_eq!(
            write(&mut barrier, 21, Mark::Barrier),
            Err(Ending::EventBytes)
        );

        let mut bytes = buffer(Limits::default().session_bytes(10));
        assert_eq!(write(&mut bytes, 10, Mark::Event), Ok(()));
        assert_eq!(write(&mut bytes, 1, Mark::Event), Err(Ending::SessionBytes));

        let mut events = buffer(Limits::default().session_events(2));
        assert_eq!(write(&mut events, 1, Mark::Event), Ok(()));
        assert_eq!(write(&mut events, 1, Mark::Event), Ok(()));
        assert_eq!(
            write(&mut events, 1, Mark::Event),
            Err(Ending::SessionEvents)
        );
    }

    #[test]
    fn there_is_room_for_the_terminal_record_past_the_limits() {
        let mut full = buffer(Limits::default().session_events(1).session_bytes(1));
        write(&mut full, 1, Mark::Event).unwrap();
        write(&mut full, 5, Mark::Terminal(Outcome::Complete)).unwrap();
        full.freeze();
        let (chunk, then) = full.front().unwrap();
        assert_eq!(chunk.len(), 2);
        assert!(matches!(then, AfterAppend::Seal(_)));
    }

    #[test]
    fn a_batch_is_full_at_so_many_records_or_bytes() {
        let mut records = buffer(Limits::default());
        for _ in 1..BATCH_RECORDS {
            write(&mut records, 1, Mark::Event).unwrap();
            assert!(!records.is_full());
        }
        write(&mut records, 1, Mark::Event).unwrap();
        assert!(records.is_full());
        records.freeze();
        assert!(!records.is_full());

        let mut bytes = buffer(Limits::default());
        write(&mut bytes, BATCH_BYTES - 1, Mark::Event).unwrap();
        assert!(!bytes.is_full());
        write(&mut bytes, 1, Mark::Event).unwrap();
        assert!(bytes.is_full());
    }

    #[test]
    fn a_frozen_batch_stays_as_it_is_while_more_is_written() {
        let mut buffer = buffer(Limits::default());
        write(&mut buffer, 1, Mark::Event).unwrap();
        buffer.freeze();
        let sent = buffer.front().cloned().unwrap();
        write(&mut buffer, 2, Mark::Event).unwrap();
        buffer.end(&Ending::Idle, &record(&Ending::Idle));
        buffer.freeze();
        assert_eq!(buffer.front(), Some(&sent));
        assert_eq!(buffer.acknowledged(), Some(sent));
        let (rest, then) = buffer.acknowledged().unwrap();
        assert_eq!((rest.first(), rest.len()), (Lsn::new(2), 2));
        assert!(matches!(then, AfterAppend::Seal(_)));
        assert_eq!(buffer.unacknowledged(), 0);
    }

    #[test]
    fn a_record_that_the_store_refuses_ends_the_log_in_its_place() {
        let mut buffer = buffer(Limits::default());
        write(&mut buffer, 1, Mark::Event).unwrap();
        buffer.freeze();
        buffer.acknowledged();
        write(&mut buffer, 9, Mark::Event).unwrap();
        buffer.freeze();
        write(&mut buffer, 9, Mark::Event).unwrap();
        assert!(buffer.refused(&record(&Ending::EventBytes)));
        let (chunk, then) = buffer.acknowledged().unwrap();
        assert_eq!((chunk.first(), chunk.len()), (Lsn::new(2), 1));
        assert!(matches!(then, AfterAppend::Seal(_)));
        assert_eq!(buffer.front(), None);
    }

    #[test]
    fn a_batch_that_is_too_large_only_as_a_whole_is_sent_in_parts() {
        let mut buffer = buffer(Limits::default());
        for _ in 0..5 {
            write(&mut buffer, 4, Mark::Event).unwrap();
        }
        buffer.end(&Ending::Complete, &record(&Ending::Complete));
        buffer.freeze();
        let mut parts = Vec::new();
        while let Some((chunk, _)) = buffer.front() {
            if chunk.bytes() > 8 {
                assert!(buffer.refused(&record(&Ending::EventBytes)));
            } else {
                parts.extend(buffer.acknowledged());
            }
        }
        let records: usize = parts.iter().map(|(chunk, _)| chunk.len()).sum();
        assert_eq!((records, buffer.unacknowledged()), (6, 0));
        assert!(matches!(parts.last(), Some((_, AfterAppend::Seal(_)))));
        assert!(
            parts
                .windows(2)
                .all(|p| p[0].0.last().next() == p[1].0.first())
        );
    }

    #[test]
    fn a_terminal_record_that_the_store_refuses_is_not_retried_for_ever() {
        let mut buffer = buffer(Limits::default());
        buffer.end(&Ending::Complete, &record(&Ending::Complete));
        buffer.freeze();
        assert!(
            buffer.refused(&record(&Ending::EventBytes)),
            "the shorter ending of a limit may fit"
        );
        assert!(!buffer.refused(&record(&Ending::EventBytes)));
    }

    #[test]
    fn a_new_owner_continues_after_the_tail_and_within_the_rest_of_the_limits() {
        let usage = LogUsage {
            tail: Lsn::new(3),
            bytes: 6,
            waiting: true,
        };
        let limits = || Limits::default().session_events(4).session_bytes(10);
        let mut events = buffer(limits()).resuming(usage);
        assert!(events.is_waiting(), "an open question stays open");
        write(&mut events, 1, Mark::Event).unwrap();
        let over = write(&mut events, 1, Mark::Event);
        assert_eq!(over, Err(Ending::SessionEvents));
        events.freeze();
        assert_eq!(events.front().unwrap().0.first(), Lsn::new(4));
        let mut bytes = buffer(limits()).resuming(usage);
        let over = write(&mut bytes, 5, Mark::Event);
        assert_eq!(over, Err(Ending::SessionBytes));
    }

    #[derive(Debug, Clone)]
    enum BufferStep {
        Write(usize),
        Freeze,
        Acknowledge,
        End,
    }

    fn step() -> impl Strategy<Value = BufferStep> {
        prop_oneof![
            5 => (0..40_usize).prop_map(BufferStep::Write),
            3 => Just(BufferStep::Freeze),
            3 => Just(BufferStep::Acknowledge),
            1 => Just(BufferStep::End),
        ]
    }

    proptest! {
        #[test]
        fn every_schedule_gives_consecutive_lsns_and_one_seal_at_the_end(
            steps in prop::collection::vec(step(), 0..60),
        ) {
            let mut buffer = buffer(Limits::default().event_bytes(30).session_bytes(200));
            let mut log = Vec::new();
            for step in steps {
                match step {
                    BufferStep::Write(size) if !buffer.has_ended() => {
                        if let Err(ending) = write(&mut buffer, size, Mark::Event) {
                            buffer.end(&ending, &record(&ending));
                        }
                    }
                    BufferStep::Write(_) => {}
                    BufferStep::Freeze => buffer.freeze(),
                    BufferStep::Acknowledge => log.extend(buffer.acknowledged()),
                    BufferStep::End => buffer.end(&Ending::Complete, &record(&Ending::Complete)),
                }
            }
            buffer.end(&Ending::Complete, &record(&Ending::Complete));
            buffer.freeze();
            log.extend(std::iter::from_fn(|| buffer.acknowledged()));
            let lsns: Vec<u64> = log
                .iter()
                .flat_map(|(chunk, _)| chunk.records().map(|r| r.lsn.get()))
                .collect();
            prop_assert_eq!(&lsns, &(1..=lsns.len() as u64).collect::<Vec<_>>());
            let seals = log.iter().filter(|(_, then)| matches!(then, AfterAppend::Seal(_))).count();
            prop_assert_eq!(seals, 1);
            prop_assert!(matches!(log.last(), Some((_, AfterAppend::Seal(_)))));
            prop_assert_eq!(buffer.unacknowledged(), 0);
        }
    }
}
