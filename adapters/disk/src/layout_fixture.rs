//! The bytes of the latest layout, made by this version, and compared with those of the fixture that its
//! number has in `tests/layouts`. The tests in `tests/disk/layouts.rs` open these fixtures.

use std::{env, fs, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use unbroken::{
    log::{
        ChatId, Chunk, ChunkBuilder, Digest, Epoch, ErrorCode, Lsn, Outcome, Owner, ServiceName,
        SessionId,
    },
    store::{
        AbortRequest, AfterAppend, DeleteMode, Holder, NewSession, Seal, SessionMeta, StoreError,
        StoredAnswer, Token, machine::SessionMachine,
    },
};

use crate::{
    batch_header::BatchHeader,
    frame::{self, FrameBody, TombstoneFrame},
    layout,
};

const SALT: u64 = 0x0123_4567_89ab_cdef;
/// The time of all writes by the store's clock: in the year 2025.
const NOW: Duration = Duration::from_secs(1_750_000_000);
/// A time that outlasts the fixture: more than 60 years.
const KEEP: Duration = Duration::from_secs(2_000_000_000);
const MAX_BYTES: usize = 1000;

#[test]
fn this_version_writes_the_bytes_of_the_fixture_that_its_layout_has() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/layouts")
        .join(layout::LATEST.to_string());
    let files = [
        ("layout", layout::tests::latest(SALT).into_bytes()),
        ("0000000001.log", log()),
    ];
    for (name, bytes) in files {
        let path = folder.join(name);
        // For a new number only: a fixture that is written never changes.
        if env::var_os("WRITE_FIXTURE").is_some() && !path.exists() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        let fixture = fs::read(&path).unwrap_or_default();
        assert!(
            fixture == bytes,
            "{} is not what this version writes: give the new bytes the next number in layout.rs, and run \
             this test once with WRITE_FIXTURE=1",
            path.display()
        );
    }
}

/// Makes a log of three batches with every kind of frame and every status.
fn log() -> Vec<u8> {
    let mut frames = Vec::new();
    running(&mut frames);
    let errors = ErrorCode::ALL.iter().copied().map(Outcome::Error);
    let outcomes = [Outcome::Complete, Outcome::Aborted];
    for (number, outcome) in (2..).zip(outcomes.into_iter().chain(errors)) {
        sealed(&mut frames, number, outcome);
    }
    let mut log = batch(1, &frames);
    frames.clear();
    merged(&mut frames);
    deleted(&mut frames);
    log.extend(batch(2, &frames));
    frames.clear();
    endings(&mut frames);
    log.extend(batch(3, &frames));
    log
}

/// Writes a session that waits, with a second epoch, two answers and an abort.
fn running(to: &mut Vec<u8>) {
    let number = 1;
    let mut machine = created(number);
    base(to, number, &machine, b"a request");
    append(
        to,
        number,
        &mut machine,
        &["a", "", "c"],
        AfterAppend::Streaming,
    );
    for answer in [
        StoredAnswer::new("a question", "\0yes"),
        StoredAnswer::closed("another"),
    ] {
        machine.answer(answer.clone(), NOW).unwrap();
        frame::write(to, number, &FrameBody::Answer(&answer));
    }
    let seen = machine.state(NOW).epoch;
    machine.claim(seen, Token(8), KEEP, NOW).unwrap();
    let mut machine = settled(&machine, 2);
    frame::write(to, number, &FrameBody::State(&machine));
    append(to, number, &mut machine, &["d"], AfterAppend::Waiting);
    let reason = Some("enough".into());
    machine.abort(AbortRequest { reason }, NOW).unwrap();
    frame::write(to, number, &FrameBody::State(&machine));
}

/// Writes a session with this outcome, which is held.
fn sealed(to: &mut Vec<u8>, number: u64, outcome: Outcome) {
    let mut machine = created(number);
    base(to, number, &machine, b"");
    let seal = Seal::new(outcome, KEEP);
    append(to, number, &mut machine, &["z"], AfterAppend::Seal(seal));
    machine.hold(Holder(number), KEEP, NOW).unwrap();
    frame::write(to, number, &FrameBody::State(&machine));
}

/// Writes a session as compaction does: its base with its answers, and its records in one frame.
fn merged(to: &mut Vec<u8>) {
    let number = 20;
    let mut machine = created(number);
    let chunks = [chunk(1, &machine, &["x", "y"]), chunk(3, &machine, &["z"])];
    for chunk in &chunks {
        let appended = machine.append(chunk, AfterAppend::Streaming, MAX_BYTES, NOW);
        assert!(appended.unwrap().is_new);
    }
    let answer = StoredAnswer::new("a question", "no");
    machine.answer(answer, NOW).unwrap();
    machine.abort(AbortRequest::default(), NOW).unwrap();
    frame::write(to, number, &FrameBody::Run(&chunks));
    base(to, number, &machine, b"a request");
}

/// Writes the tombstone of a deleted session.
fn deleted(to: &mut Vec<u8>) {
    let number = 21;
    let mut machine = created(number);
    assert!(machine.delete(DeleteMode::Now, NOW).unwrap());
    let Err(StoreError::Gone(tombstone)) = machine.check_present(NOW) else {
        panic!("a deleted session leaves its tombstone");
    };
    let left = TombstoneFrame {
        id: id(number),
        tombstone,
        until: machine.tombstone_until().unwrap(),
    };
    frame::write(to, number, &FrameBody::Tombstone(&left));
}

/// Writes sessions with an outbox: one that runs, and three that have ended. The ending of the first of these
/// was taken twice, that of the second is delivered, and the third is deleted.
fn endings(to: &mut Vec<u8>) {
    for number in 22..=25 {
        let mut machine = with_outbox(number, Some(KEEP));
        base(to, number, &machine, b"a request");
        if number == 22 {
            continue;
        }
        let seal = Seal::new(Outcome::Complete, KEEP).summary("a summary".into());
        append(to, number, &mut machine, &["z"], AfterAppend::Seal(seal));
        if number == 25 {
            assert!(machine.delete(DeleteMode::Now, NOW).unwrap());
            base(to, number, &machine, b"");
            continue;
        }
        for _ in 0..2 {
            assert!(machine.take_ending(Duration::ZERO, NOW).is_some());
            frame::write(to, number, &FrameBody::State(&machine));
        }
        if number == 24 {
            assert!(machine.ending_delivered());
            frame::write(to, number, &FrameBody::State(&machine));
        }
    }
}

fn created(number: u64) -> SessionMachine {
    with_outbox(number, None)
}

fn with_outbox(number: u64, outbox: Option<Duration>) -> SessionMachine {
    let is_odd = number % 2 == 1;
    let new = NewSession {
        meta: Arc::new(SessionMeta {
            owner: is_odd.then(|| Owner::new("an owner")),
            chat: is_odd.then(|| ChatId::new("a chat")),
            service: ServiceName::new("a service"),
            digest: Digest([7; 32]),
            format: 1,
            outbox,
        }),
        request: Bytes::new(),
        token: Token(7),
        lease: Duration::ZERO,
        tombstone: KEEP,
    };
    settled(&SessionMachine::new(&new, NOW), 1)
}

/// Returns the machine with fixed bits in place of the random ones of its epoch.
fn settled(machine: &SessionMachine, counter: u64) -> SessionMachine {
    let epoch = machine.state(NOW).epoch;
    assert_eq!(epoch.counter, counter);
    let mut state = Vec::new();
    machine.encode(&mut state);
    let (random, fixed) = (
        epoch.bits.to_le_bytes(),
        (0x5a5a_5a00 + counter).to_le_bytes(),
    );
    for at in 0..=state.len() - random.len() {
        if state[at..].starts_with(&random) {
            state[at..at + fixed.len()].copy_from_slice(&fixed);
        }
    }
    let settled = SessionMachine::decode(&mut &state[..], machine.meta().clone()).unwrap();
    settled.with_answers(machine.answers().clone())
}

fn base(to: &mut Vec<u8>, number: u64, machine: &SessionMachine, request: &'static [u8]) {
    let body = FrameBody::Base {
        id: &id(number),
        meta: machine.meta(),
        request: &Bytes::from_static(request),
        machine,
    };
    frame::write(to, number, &body);
}

fn append(
    to: &mut Vec<u8>,
    number: u64,
    machine: &mut SessionMachine,
    records: &[&str],
    after: AfterAppend,
) {
    let chunk = chunk(machine.tail().next().get(), machine, records);
    let appended = machine.append(&chunk, after, MAX_BYTES, NOW);
    assert!(appended.unwrap().is_new);
    frame::write(to, number, &FrameBody::Append(&chunk, machine));
}

fn chunk(first: u64, machine: &SessionMachine, records: &[&str]) -> Chunk {
    let epoch: Epoch = machine.state(NOW).epoch;
    let mut batch = ChunkBuilder::new();
    batch.extend(records.iter().map(|record| record.as_bytes()));
    batch.take(Lsn::new(first), epoch).unwrap()
}

fn id(number: u64) -> SessionId {
    format!("a-session-of-a-fixture-{number}").parse().unwrap()
}

fn batch(sequence: u64, frames: &[u8]) -> Vec<u8> {
    let mut batch = vec![0; BatchHeader::LEN];
    batch.extend_from_slice(frames);
    let header = BatchHeader {
        sequence,
        time: NOW,
        len: u32::try_from(frames.len()).unwrap(),
    };
    header.write(SALT, &mut batch);
    batch
}
