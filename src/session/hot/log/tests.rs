use std::task::Waker;

use bytes::Bytes;

use super::*;
use crate::{
    log::{ChunkBuilder, Epoch},
    session::BatchLimits,
};

const EPOCH: Epoch = Epoch {
    counter: 1,
    bits: 9,
};

fn chunk(first: u64, records: usize, size: usize) -> Chunk {
    let mut builder = ChunkBuilder::new();
    (0..records).for_each(|_| builder.push(&vec![b'x'; size]));
    builder.take(Lsn::new(first), EPOCH).unwrap()
}

fn log(max_bytes: usize, budget: usize) -> HotLog {
    HotLog::new(
        Lsn::ZERO,
        Status::Streaming,
        max_bytes,
        Arc::new(Budget::new(budget)),
    )
}

fn next(log: &HotLog, at: u64, slot: usize) -> NextBatch {
    log.next(
        Position::after(Lsn::new(at)),
        slot,
        &Context::from_waker(Waker::noop()),
    )
}

#[test]
fn a_reader_gets_what_follows_its_position() {
    let log = log(1000, 1000);
    let slot = log.open_slot();
    assert!(matches!(next(&log, 0, slot), NextBatch::Wait));
    log.publish([chunk(1, 3, 10), chunk(4, 2, 10)], Status::Streaming);
    let NextBatch::Batch(batch) = next(&log, 1, slot) else {
        panic!("no batch");
    };
    assert_eq!(
        (batch.chunk().first().get(), batch.chunk().last().get()),
        (2, 3)
    );
    assert!(matches!(next(&log, 5, slot), NextBatch::Wait));
}

#[test]
fn records_that_were_published_before_are_skipped() {
    let log = log(1000, 1000);
    let slot = log.open_slot();
    log.publish([chunk(1, 3, 1)], Status::Streaming);
    log.publish([chunk(2, 4, 1)], Status::Streaming);
    assert_eq!(log.tail(), Lsn::new(5));
    let NextBatch::Batch(batch) = next(&log, 3, slot) else {
        panic!("no batch");
    };
    assert_eq!(
        (batch.chunk().first().get(), batch.chunk().last().get()),
        (4, 5)
    );
}

#[test]
fn the_bound_of_a_session_evicts_the_oldest() {
    let log = log(100, 10_000);
    let slot = log.open_slot();
    log.publish([chunk(1, 5, 10), chunk(6, 5, 10)], Status::Streaming);
    assert!(matches!(next(&log, 0, slot), NextBatch::Batch(_)));
    log.publish([chunk(11, 1, 1)], Status::Streaming);
    assert!(matches!(next(&log, 0, slot), NextBatch::Evicted));
    assert!(matches!(next(&log, 5, slot), NextBatch::Batch(_)));
}

#[test]
fn the_bound_of_all_evicts_from_the_log_that_publishes_and_is_given_back() {
    let budget = Arc::new(Budget::new(100));
    let log = |b: &Arc<Budget>| HotLog::new(Lsn::ZERO, Status::Streaming, 1000, b.clone());
    let (one, other) = (log(&budget), log(&budget));
    one.publish([chunk(1, 1, 90)], Status::Streaming);
    other.publish([chunk(1, 1, 10)], Status::Streaming);
    let slot = other.open_slot();
    assert!(matches!(next(&other, 0, slot), NextBatch::Batch(_)));
    other.publish([chunk(2, 1, 10)], Status::Streaming);
    assert!(matches!(next(&other, 0, slot), NextBatch::Evicted));
    drop((one, other));
    assert_eq!(budget.used(), 0);
}

#[test]
fn encodings_are_made_once_for_several_readers_and_go_at_the_seal() {
    let budget = Arc::new(Budget::new(1000));
    let log = HotLog::new(Lsn::ZERO, Status::Streaming, 1000, budget.clone());
    let (a, b) = (log.open_slot(), log.open_slot());
    log.publish([chunk(1, 1, 10)], Status::Streaming);
    let made = std::cell::Cell::new(0);
    for slot in [a, b] {
        let NextBatch::Batch(batch) = next(&log, 0, slot) else {
            panic!("no batch");
        };
        batch.encoded("test", |_| {
            made.set(made.get() + 1);
            Bytes::from_static(b"0123456789")
        });
    }
    assert_eq!((made.get(), budget.used()), (1, 20));
    log.publish([chunk(2, 1, 10)], Status::Ended(Outcome::Complete));
    assert_eq!(budget.used(), 20);
}

#[test]
fn a_whole_batch_that_several_readers_need_is_shared_and_given_as_a_whole() {
    let log = log(1000, 1000);
    let batch = |at, slot| match next(&log, at, slot) {
        NextBatch::Batch(batch) => batch,
        other => panic!("{other:?}"),
    };
    let one = log.open_slot();
    log.publish([chunk(1, 3, 10)], Status::Streaming);
    assert!(!batch(0, one).is_shared(), "there is no other reader");
    let _other = log.open_slot();
    assert!(batch(0, one).is_shared());
    assert!(!batch(1, one).is_shared(), "it is a part");
    let limits = BatchLimits {
        records: 2,
        ..BatchLimits::default()
    };
    assert_eq!(batch(0, one).limit(limits).chunk().len(), 3);
    let limits = BatchLimits {
        keeps_shared: false,
        ..limits
    };
    assert_eq!(batch(0, one).limit(limits).chunk().len(), 2);
}

#[test]
fn a_reader_of_records_that_the_store_lost_fails_unless_a_follower_is_behind_it() {
    let log = log(1000, 1000);
    let slot = log.open_slot();
    let next = |at| log.next(at, slot, &Context::from_waker(Waker::noop()));
    let lost = |lsn| Position::tagged(Lsn::new(lsn), EPOCH.succeed().tag());
    let rewound = |next: &NextBatch| {
        let tail = log.tail();
        matches!(next, NextBatch::Failed(ReadError::Rewound { tail: at }) if *at == tail)
    };
    log.publish([chunk(1, 1, 1)], Status::Streaming);
    assert!(rewound(&next(lost(1))));
    assert!(matches!(next(lost(2)), NextBatch::Wait));
    log.publish([chunk(2, 1, 1)], Status::Ended(Outcome::Complete));
    assert!(rewound(&next(lost(2))));
    assert!(rewound(&next(Position::after(Lsn::new(3)))));
}

#[test]
fn the_end_comes_only_after_the_last_record_and_a_failure_after_all_records() {
    let log = log(1000, 1000);
    let slot = log.open_slot();
    log.publish([chunk(1, 1, 1)], Status::Streaming);
    log.fail(ReadError::Unavailable);
    assert!(matches!(next(&log, 0, slot), NextBatch::Batch(_)));
    assert!(matches!(
        next(&log, 1, slot),
        NextBatch::Failed(ReadError::Unavailable)
    ));
    log.publish([chunk(2, 1, 1)], Status::Ended(Outcome::Complete));
    assert!(matches!(next(&log, 1, slot), NextBatch::Batch(_)));
    assert!(matches!(next(&log, 2, slot), NextBatch::End));
}

#[test]
fn a_gap_fails_the_readers_and_is_no_ending() {
    let log = log(1000, 1000);
    let slot = log.open_slot();
    assert!(log.publish([chunk(1, 1, 1)], Status::Streaming));
    assert!(!log.publish([chunk(3, 1, 1)], Status::Ended(Outcome::Complete)));
    assert!(matches!(next(&log, 0, slot), NextBatch::Batch(_)));
    assert!(matches!(
        next(&log, 1, slot),
        NextBatch::Failed(ReadError::Corrupt { lsn }) if lsn == Lsn::new(2)
    ));
}

#[test]
fn a_position_is_held_only_with_its_own_epoch() {
    let log = log(1000, 1000);
    log.publish([chunk(1, 2, 1)], Status::Streaming);
    assert!(log.holds(Position::after(Lsn::new(2))));
    assert!(log.holds(Position::tagged(Lsn::new(2), EPOCH.tag())));
    assert!(!log.holds(Position::tagged(Lsn::new(2), EPOCH.succeed().tag())));
    assert!(!log.holds(Position::after(Lsn::new(3))));
    assert!(!log.holds(Position::START));
}

#[test]
fn the_newest_chunks_are_replaced_by_the_one_that_the_store_holds() {
    let log = log(1000, 1000);
    let slot = log.open_slot();
    let one = |lsn| chunk(lsn, 1, 10);
    log.publish((1..=4).map(one), Status::Streaming);
    let newest: Vec<_> = (2..=4).map(one).collect();
    let kept = Chunk::concat(newest.iter()).unwrap();
    log.replace_newest(kept);
    for (at, records) in [(0, 1), (1, 3), (2, 2), (3, 1)] {
        let NextBatch::Batch(batch) = next(&log, at, slot) else {
            panic!("no batch after {at}");
        };
        assert_eq!(batch.chunk().len(), records, "after {at}");
        assert_eq!(batch.chunk().first(), Lsn::new(at + 1));
        assert_eq!(batch.chunk().epoch(), EPOCH);
    }
    log.publish([one(5)], Status::Streaming);
    assert_eq!(log.tail(), Lsn::new(5));
}

#[test]
fn a_chunk_that_is_not_the_newest_or_too_large_replaces_nothing() {
    let log = log(400, 1000);
    let count = || log.lock().chunks.len();
    log.publish(
        [chunk(1, 2, 10), chunk(3, 1, 10), chunk(4, 1, 10)],
        Status::Streaming,
    );
    for (reason, other) in [
        ("an older one", chunk(1, 3, 10)),
        ("a later one", chunk(4, 2, 10)),
        ("a part of a chunk", chunk(2, 3, 10)),
        ("a large one", chunk(3, 2, 100)),
    ] {
        log.replace_newest(other);
        assert_eq!(count(), 3, "{reason}");
    }
    let mut other_epoch = ChunkBuilder::new();
    other_epoch.extend([&b"x"[..], b"x"]);
    log.replace_newest(other_epoch.take(Lsn::new(3), EPOCH.succeed()).unwrap());
    assert_eq!(count(), 3);
    log.replace_newest(chunk(3, 2, 10));
    assert_eq!(count(), 2);
}
