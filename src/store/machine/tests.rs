use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use crate::{
    log::{Chunk, ChunkBuilder, Digest, Epoch, Lsn, Outcome, Position, ServiceName},
    store::{
        AbortRequest, AfterAppend, Created, DeleteMode, Holder, Lease, LeaseChange, NewSession,
        Seal, SessionMeta, StoreError, StoredAnswer, Token,
        machine::{AnswerEffect, SessionMachine},
    },
};

const LEASE: u64 = 10;
const TOMBSTONE: u64 = 100;

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn machine() -> SessionMachine {
    let new = NewSession {
        meta: Arc::new(SessionMeta {
            owner: None,
            chat: None,
            service: ServiceName::new("a service"),
            digest: Digest([0; 32]),
            format: SessionMeta::LATEST_FORMAT,
            outbox: None,
        }),
        request: Bytes::new(),
        token: Token(1),
        lease: secs(LEASE),
        tombstone: secs(TOMBSTONE),
    };
    SessionMachine::new(&new, Duration::ZERO)
}

fn chunk(first: u64, len: usize, epoch: Epoch) -> Chunk {
    let mut batch = ChunkBuilder::new();
    batch.extend(std::iter::repeat_n(&b"x"[..], len));
    batch.take(Lsn::new(first), epoch).unwrap()
}

fn seal(keep: u64) -> AfterAppend {
    AfterAppend::Seal(Seal::new(Outcome::Complete, secs(keep)))
}

impl SessionMachine {
    fn push(
        &mut self,
        first: u64,
        len: usize,
        epoch: Epoch,
        after: AfterAppend,
        now: u64,
    ) -> &'static str {
        match self.append(&chunk(first, len, epoch), after, 5, secs(now)) {
            Ok(effect) if effect.is_new => "added",
            Ok(_) => "duplicate",
            Err(error) => word(&error),
        }
    }

    fn epoch(&self) -> Epoch {
        self.state(Duration::ZERO).epoch
    }
}

fn word(error: &StoreError) -> &'static str {
    match error {
        StoreError::NotFound => "not found",
        StoreError::Gone(_) => "gone",
        StoreError::Held => "held",
        StoreError::Fenced => "fenced",
        StoreError::Sealed => "sealed",
        StoreError::Conflict { .. } => "conflict",
        StoreError::Rewound { .. } => "rewound",
        StoreError::TooLarge { .. } => "too large",
        _ => "other",
    }
}

#[test]
fn an_append_is_checked_in_the_order_of_the_contract() {
    let other_epoch = Epoch::first();
    // The tail is 3, written by the session's epoch. Columns: first LSN, number of records, true if
    // by that epoch, and the result for an open, a sealed and a deleted session.
    let table = [
        (4, 1, true, "added", "sealed", "gone"),
        (1, 3, true, "duplicate", "duplicate", "gone"),
        (3, 1, true, "duplicate", "duplicate", "gone"),
        (3, 1, false, "fenced", "fenced", "gone"),
        (4, 1, false, "fenced", "fenced", "gone"),
        (9, 1, false, "fenced", "fenced", "gone"),
        (3, 2, true, "conflict", "sealed", "gone"),
        (2, 1, true, "conflict", "sealed", "gone"),
        (5, 1, true, "rewound", "sealed", "gone"),
        (4, 5, true, "added", "sealed", "gone"),
        (4, 6, true, "too large", "sealed", "gone"),
        (5, 6, true, "rewound", "sealed", "gone"),
        (4, 6, false, "fenced", "fenced", "gone"),
    ];
    for (first, len, ours, open, sealed, deleted) in table {
        let mut bases = [machine(), machine(), machine()];
        for machine in &mut bases {
            let ours = machine.epoch();
            assert_eq!(machine.push(1, 2, ours, AfterAppend::Streaming, 0), "added");
        }
        let thens = [AfterAppend::Streaming, seal(50), AfterAppend::Streaming];
        for ((machine, then), expected) in bases.iter_mut().zip(thens).zip([open, sealed, deleted])
        {
            let epoch = machine.epoch();
            assert_eq!(machine.push(3, 1, epoch, then, 0), "added");
            if expected == deleted {
                machine.delete(DeleteMode::Now, secs(1)).unwrap();
            }
            let by = if ours { epoch } else { other_epoch };
            let result = machine.push(first, len, by, AfterAppend::Streaming, 1);
            assert_eq!(result, expected, "append at {first} of {len}, ours: {ours}");
        }
    }
}

#[test]
fn a_lease_is_over_exactly_at_its_end() {
    let mut machine = machine();
    let seen = machine.epoch();
    let mut claim = |nanos: u64| {
        let now = Duration::from_nanos(LEASE * 1_000_000_000 - nanos);
        machine.claim(seen, Token(2), secs(LEASE), now).map(drop)
    };
    assert!(matches!(claim(1), Err(StoreError::Held)));
    assert!(claim(0).is_ok());
}

#[test]
fn retention_and_tombstone_end_exactly_at_their_end() {
    let mut machine = machine();
    let epoch = machine.epoch();
    machine.push(1, 1, epoch, seal(20), 5);
    let table = [
        (5, "present"),
        (24, "present"),
        (25, "gone"),
        (25 + TOMBSTONE - 1, "gone"),
        (25 + TOMBSTONE, "not found"),
    ];
    for (now, expected) in table {
        let result = machine
            .check_present(secs(now))
            .map_or_else(|e| word(&e), |()| "present");
        assert_eq!(result, expected, "at {now}");
    }
    assert_eq!(machine.gone_at(), Some(secs(25)));
    assert_eq!(machine.tombstone_until(), Some(secs(25 + TOMBSTONE)));
}

#[test]
fn a_late_append_does_not_take_a_returned_lease_again() {
    let mut machine = machine();
    let epoch = machine.epoch();
    machine
        .renew(epoch, LeaseChange::GiveBack, secs(1))
        .unwrap();
    assert_eq!(
        machine.push(1, 1, epoch, AfterAppend::Streaming, 2),
        "added"
    );
    assert_eq!(machine.state(secs(2)).lease, Lease::Free);
    assert!(machine.claim(epoch, Token(2), secs(LEASE), secs(2)).is_ok());
}

#[test]
fn a_token_is_recognised_until_another_claim() {
    let mut machine = machine();
    let first = machine.epoch();
    let created = |machine: &SessionMachine, token| {
        let answer = machine.create(token, secs(1)).unwrap();
        matches!(answer, Created::Created(_))
    };
    assert!(created(&machine, Token(1)) && !created(&machine, Token(2)));
    // The token of the creation is none of a claim.
    let claimed = machine.claim(first, Token(1), secs(1), secs(1));
    assert!(matches!(claimed, Err(StoreError::Held)));
    let second = machine.claim(first, Token(2), secs(1), secs(10)).unwrap();
    assert_eq!(
        machine.claim(first, Token(2), secs(1), secs(10)).unwrap(),
        second
    );
    assert!(!created(&machine, Token(1)) && !created(&machine, Token(2)));
    machine.claim(second, Token(3), secs(1), secs(11)).unwrap();
    assert!(machine.claim(first, Token(2), secs(1), secs(12)).is_err());
    let state = machine.state(secs(12));
    assert_eq!((state.epoch.claims(), state.attempts), (2, 2));
}

#[test]
fn an_append_extends_the_lease_to_its_full_length() {
    let mut machine = machine();
    let epoch = machine.epoch();
    assert_eq!(
        machine.push(1, 1, epoch, AfterAppend::Streaming, 6),
        "added"
    );
    let lease = |now| machine.state(secs(now)).lease;
    assert_eq!(lease(6 + LEASE - 1), Lease::Held(secs(1)));
    assert_eq!(lease(6 + LEASE), Lease::Expired);
}

#[test]
fn the_bytes_of_all_answers_are_bounded_together() {
    let mut machine = machine();
    let half = StoredAnswer::MAX_BYTES / 2;
    let mut answer = |name: &str, bytes| {
        let answer = StoredAnswer::new(name, vec![1; bytes]);
        machine.answer(answer, secs(1))
    };
    assert_eq!(answer("a", half - 1).unwrap(), AnswerEffect::Added);
    assert!(matches!(answer("b", half), Err(StoreError::Full)));
    assert_eq!(answer("b", half - 1).unwrap(), AnswerEffect::Added);
    assert!(matches!(answer("c", 1), Err(StoreError::Full)));
    let names = machine.answers().as_slice().iter().map(|it| &*it.name);
    assert_eq!(names.collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_release_waits_for_other_holders_to_the_end_of_their_holds() {
    let mut machine = machine();
    machine.hold(Holder(1), secs(5), secs(0)).unwrap();
    machine.hold(Holder(2), secs(3), secs(0)).unwrap();
    let release = |by, now| {
        let how = DeleteMode::Released(Holder(by));
        machine.clone().delete(how, now)
    };
    let before = Duration::new(2, 999_999_999);
    assert!(matches!(release(1, before), Err(StoreError::Held)));
    assert!(matches!(release(1, secs(3)), Ok(true)));
    assert!(matches!(release(2, secs(3)), Err(StoreError::Held)));
    assert!(matches!(release(2, secs(5)), Ok(true)));
}

#[test]
fn each_server_has_one_hold_which_only_grows_and_goes_when_it_is_over() {
    let mut machine = machine();
    let mut holds = |by, keep, now| {
        machine.hold(Holder(by), secs(keep), secs(now)).unwrap();
        machine.retention.holds.clone()
    };
    holds(1, 2, 0);
    holds(2, 1, 0);
    holds(1, 9, 0);
    let grown = holds(1, 1, 0);
    assert_eq!(grown, [(Holder(1), secs(9)), (Holder(2), secs(1))]);
    let later = holds(3, 1, 1);
    assert_eq!(later, [(Holder(1), secs(9)), (Holder(3), secs(2))]);
}

#[test]
fn a_read_goes_on_only_after_a_record_that_is_there_and_of_its_epoch() {
    let mut machine = machine();
    let epoch = machine.epoch();
    assert_eq!(
        machine.push(1, 3, epoch, AfterAppend::Streaming, 0),
        "added"
    );
    let other = Epoch::first().tag();
    let check = |after, written_by| {
        let result = machine.check_read(after, |_| written_by, secs(1));
        result.map_err(|error| word(&error))
    };
    let lsn = Lsn::new(2);
    assert_eq!(check(Position::START, None), Ok(()));
    assert_eq!(check(Position::tagged(Lsn::ZERO, other), None), Ok(()));
    assert_eq!(check(Position::after(lsn), Some(epoch.tag())), Ok(()));
    assert_eq!(check(Position::after(lsn), None), Err("rewound"));
    let tagged = Position::tagged(lsn, epoch.tag());
    assert_eq!(check(tagged, Some(epoch.tag())), Ok(()));
    assert_eq!(check(tagged, Some(other)), Err("rewound"));
    assert_eq!(check(tagged, None), Err("rewound"));
}

#[test]
fn an_orphan_is_present_unsealed_and_past_its_lease() {
    let open = machine();
    assert!(!open.is_orphan(secs(LEASE - 1)));
    assert!(open.is_orphan(secs(LEASE)));
    let mut sealed = machine();
    let epoch = sealed.epoch();
    assert_eq!(sealed.push(1, 2, epoch, seal(50), 0), "added");
    assert!(!sealed.is_orphan(secs(LEASE)));
    let mut deleted = machine();
    deleted.delete(DeleteMode::Now, secs(1)).unwrap();
    assert!(!deleted.is_orphan(secs(LEASE)));
    assert_eq!((open.tail(), sealed.tail()), (Lsn::ZERO, Lsn::new(2)));
}

#[test]
fn answers_are_put_back_into_an_open_session_only() {
    let mut answered = machine();
    let answer = StoredAnswer::new("a", "yes");
    answered.answer(answer, secs(1)).unwrap();
    let answers = answered.answers().clone();
    let count = |machine: SessionMachine| {
        let machine = machine.with_answers(answers.clone());
        machine.answers().as_slice().len()
    };
    assert_eq!(count(machine()), 1);
    let mut sealed = machine();
    let epoch = sealed.epoch();
    assert_eq!(sealed.push(1, 1, epoch, seal(50), 0), "added");
    assert_eq!(count(sealed), 0);
    let mut deleted = machine();
    deleted.delete(DeleteMode::Now, secs(1)).unwrap();
    assert_eq!(count(deleted), 0);
}

#[test]
fn a_format_newer_than_the_latest_is_unsupported() {
    for (format, supported) in [
        (SessionMeta::LATEST_FORMAT - 1, true),
        (SessionMeta::LATEST_FORMAT, true),
        (SessionMeta::LATEST_FORMAT + 1, false),
    ] {
        let mut machine = machine();
        Arc::make_mut(&mut machine.meta).format = format;
        let read = machine.check_read(Position::START, |_| None, secs(1));
        assert_eq!(read.is_ok(), supported, "format {format}");
        let claimed = machine.claim(machine.epoch(), Token(2), secs(1), secs(LEASE));
        assert_eq!(claimed.is_ok(), supported, "format {format}");
    }
}

#[test]
fn times_saturate_at_their_maximum() {
    let mut machine = machine();
    let epoch = machine.epoch();
    let forever = LeaseChange::Extend(Duration::MAX);
    machine.renew(epoch, forever, secs(5)).unwrap();
    machine.hold(Holder(1), Duration::MAX, secs(5)).unwrap();
    assert!(!machine.state(secs(u64::MAX / 2)).lease.is_over());
    assert_eq!(machine.push(1, 1, epoch, seal(u64::MAX), 6), "added");
    assert!(machine.check_present(secs(u64::MAX / 2)).is_ok());
    assert!(machine.gone_at().is_some());
}

/// One operation on a session. Epochs and LSNs are near the right ones.
#[derive(Debug, Clone)]
enum Operation {
    Advance(u64),
    Claim {
        stale: bool,
        token: u128,
    },
    Renew {
        stale: bool,
        lease: u64,
    },
    Append {
        stale: bool,
        off: i64,
        len: usize,
        then: u8,
    },
    Abort,
    Answer {
        name: u8,
        content: u8,
    },
    Hold {
        by: u64,
        keep: u64,
    },
    Release(u64),
    Delete,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        4 => (0..15u64).prop_map(Operation::Advance),
        4 => (any::<bool>(), 2..6u128).prop_map(|(stale, token)| Operation::Claim { stale, token }),
        2 => (any::<bool>(), 0..15u64).prop_map(|(stale, lease)| Operation::Renew { stale, lease }),
        8 => (any::<bool>(), -2..=2i64, 1..4usize, 0..8u8)
            .prop_map(|(stale, off, len, then)| Operation::Append { stale, off, len, then }),
        1 => Just(Operation::Abort),
        3 => (0..3u8, 0..2u8).prop_map(|(name, content)| Operation::Answer { name, content }),
        2 => (0..3u64, 0..30u64).prop_map(|(by, keep)| Operation::Hold { by, keep }),
        1 => (0..3u64).prop_map(Operation::Release),
        1 => Just(Operation::Delete),
    ];
    vec(operation, 1..60)
}

proptest! {
    #[test]
    fn no_order_of_operations_breaks_the_invariants(operations in operations()) {
        let mut machine = machine();
        let (mut now, mut stale) = (Duration::ZERO, machine.epoch());
        let (mut seals, mut progress) = (0, None);
        // The session must not expire before `kept_until`.
        let (mut kept_until, mut deleted) = (Duration::ZERO, false);
        for operation in operations {
            let before = machine.state(now);
            let present = machine.check_present(now).is_ok();
            let epoch = |is_stale| if is_stale { stale } else { before.epoch };
            match operation {
                Operation::Advance(time) => now += secs(time),
                Operation::Claim { stale: old, token } => {
                    if let Ok(new) = machine.claim(epoch(old), Token(token), secs(LEASE), now) {
                        prop_assert!(present && before.status.outcome().is_none());
                        if new != before.epoch {
                            prop_assert!(before.lease.is_over(), "claimed while held");
                            prop_assert_eq!(epoch(old), before.epoch);
                            prop_assert_eq!(new.counter, before.epoch.counter + 1);
                            let lost = before.lease == Lease::Expired && progress != Some(before.epoch);
                            let attempts = before.attempts + u32::from(lost);
                            prop_assert_eq!(machine.state(now).attempts, attempts);
                            stale = before.epoch;
                        }
                    }
                }
                Operation::Renew { stale: old, lease } => {
                    if machine.renew(epoch(old), LeaseChange::Extend(secs(lease)), now).is_ok() {
                        prop_assert_eq!(epoch(old), before.epoch);
                        prop_assert_eq!(machine.state(now).lease.is_over(), lease == 0);
                    }
                }
                Operation::Append { stale: old, off, len, then } => {
                    let first = before.tail.next().get().saturating_add_signed(off).max(1);
                    let chunk = chunk(first, len, epoch(old));
                    let then = match then { 0 => seal(20), 1 => AfterAppend::Waiting, _ => AfterAppend::Streaming };
                    match machine.append(&chunk, then.clone(), usize::MAX, now) {
                        Ok(effect) if effect.is_new => {
                            prop_assert!(present && before.status.outcome().is_none());
                            prop_assert_eq!(chunk.epoch(), before.epoch);
                            prop_assert_eq!(chunk.first(), before.tail.next());
                            progress = Some(before.epoch);
                            prop_assert_eq!(machine.state(now).tail, chunk.last());
                            prop_assert_eq!(&effect.appended.abort, &before.abort);
                            if matches!(then, AfterAppend::Seal(_)) {
                                seals += 1;
                                kept_until = kept_until.max(now + secs(20));
                            }
                        }
                        _ => prop_assert_eq!(machine.state(now).version(), before.version()),
                    }
                }
                Operation::Abort => {
                    let abort = AbortRequest { reason: Some(format!("{now:?}").into()) };
                    let open = present && before.status.outcome().is_none();
                    drop(machine.abort(abort, now));
                    let after = machine.state(now).abort;
                    prop_assert_eq!(after.is_some(), before.abort.is_some() || open);
                    prop_assert!(before.abort.is_none() || before.abort == after);
                }
                Operation::Answer { name, content } => {
                    let stored = machine.answers_after(0, now);
                    let answer = StoredAnswer::new(name.to_string(), vec![content]);
                    let earlier = stored.iter().flatten().find(|it| it.name == answer.name).cloned();
                    match machine.answer(answer.clone(), now) {
                        Ok(AnswerEffect::Added) => {
                            prop_assert!(present && before.status.outcome().is_none());
                            prop_assert!(earlier.is_none());
                            let mut all = stored.unwrap();
                            all.push(answer);
                            prop_assert_eq!(machine.answers_after(0, now).unwrap(), all);
                        }
                        Ok(AnswerEffect::AlreadyStored) => prop_assert_eq!(earlier, Some(answer)),
                        Ok(AnswerEffect::Taken) => prop_assert!(earlier.is_some_and(|it| it != answer)),
                        Err(StoreError::Sealed) => {
                            prop_assert!(before.status.outcome().is_some());
                        }
                        Err(_) => prop_assert!(!present),
                    }
                }
                Operation::Hold { by, keep } => {
                    if machine.hold(Holder(by), secs(keep), now).is_ok() {
                        kept_until = kept_until.max(now + secs(keep));
                    }
                }
                Operation::Release(by) => {
                    deleted |= matches!(machine.delete(DeleteMode::Released(Holder(by)), now), Ok(true));
                }
                Operation::Delete => deleted |= matches!(machine.delete(DeleteMode::Now, now), Ok(true)),
            }
            let after = machine.state(now);
            prop_assert!(after.tail >= before.tail);
            prop_assert!(before.status.outcome().is_none() || after.status == before.status);
            prop_assert!(after.answers == 0 || after.status.outcome().is_none());
            prop_assert!(seals <= 1);
            prop_assert!(present || machine.check_present(now).is_err(), "the session is present again");
            let expected = !deleted && (seals == 0 || now < kept_until);
            prop_assert_eq!(machine.check_present(now).is_ok(), expected, "at {:?}", now);
        }
    }
}
