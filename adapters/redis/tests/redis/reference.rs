//! Random sequences of calls have the results of the store in memory.

use std::{sync::Arc, time::Duration};

use libtest_mimic::{Failed, Trial};
use unbroken::{
    log::{Chunk, ChunkBuilder, Epoch, Lsn, Outcome, Position, ServiceName, SessionId},
    store::{
        AbortRequest, AfterAppend, AnswerOutcome, Created, DeleteMode, Holder, Lease, LeaseChange,
        Memory, PendingEnding, RecordPage, Seal, SessionState, Store, StoreError, StoreExt,
        StoredAnswer, Token,
    },
};

use crate::support::{
    self, fixture,
    server::{self, Server},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let missing = server::missing();
    let name = "any_order_of_calls_has_the_results_of_the_memory_store";
    vec![trial(name, missing.as_ref(), any_order)]
}

/// A reproducible sequence of random numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// One call, equal for both stores but for the epochs.
#[derive(Debug, Clone)]
enum Call {
    Create {
        token: u128,
        outbox: bool,
    },
    Claim {
        token: u128,
    },
    Renew {
        lease: LeaseChange,
    },
    Append {
        first: u64,
        count: u64,
        size: usize,
        then: AfterAppend,
    },
    Read {
        lsn: u64,
        tagged: bool,
        max_bytes: usize,
    },
    Look,
    Abort {
        reason: Option<Arc<str>>,
    },
    Answer {
        name: u64,
        content: u64,
    },
    Answers {
        after: usize,
    },
    Hold {
        by: u64,
        keep: Duration,
    },
    Delete {
        how: DeleteMode,
    },
    Withdraw,
    Endings {
        lease: Duration,
    },
    Postpone {
        delivery: u32,
        by: Duration,
    },
    Delivered,
}

fn call(dice: &mut Dice, tail: u64) -> Call {
    let near = |dice: &mut Dice| (tail + 1 + dice.roll(5)).saturating_sub(2).max(1);
    match dice.roll(33) {
        0 | 1 => Call::Create {
            token: u128::from(dice.roll(3)),
            outbox: dice.roll(2) == 0,
        },
        2..=4 => Call::Claim {
            token: 10 + u128::from(dice.roll(6)),
        },
        5..=7 => Call::Renew {
            lease: match dice.roll(2) {
                0 => LeaseChange::GiveBack,
                _ => LeaseChange::Extend(fixture::LONG),
            },
        },
        8..=13 => Call::Append {
            first: if dice.roll(4) > 0 {
                tail + 1
            } else {
                near(dice)
            },
            count: 1 + dice.roll(4),
            size: usize::try_from(dice.roll(200)).unwrap_or(0),
            then: match dice.roll(12) {
                0 => AfterAppend::Seal(
                    Seal::new(Outcome::Complete, fixture::LONG).summary("the summary".into()),
                ),
                1 => AfterAppend::Seal(Seal::new(Outcome::Aborted, Duration::ZERO)),
                2 | 3 => AfterAppend::Waiting,
                _ => AfterAppend::Streaming,
            },
        },
        14 | 15 => Call::Read {
            lsn: dice.roll(tail + 3),
            tagged: dice.roll(2) == 0,
            max_bytes: usize::try_from(dice.roll(2000)).unwrap_or(0),
        },
        16 => Call::Look,
        17 => Call::Abort {
            reason: (dice.roll(2) == 0).then(|| format!("reason {}", dice.roll(9)).into()),
        },
        22..=24 => Call::Answer {
            name: dice.roll(4),
            content: dice.roll(2),
        },
        25 => Call::Answers {
            after: usize::try_from(dice.roll(4)).unwrap_or(0),
        },
        18 | 19 => Call::Hold {
            by: dice.roll(2),
            keep: fixture::LONG * u32::try_from(dice.roll(2)).unwrap_or(0),
        },
        26..=28 => Call::Endings {
            lease: fixture::LONG * u32::from(dice.roll(2) == 0),
        },
        29..=31 => Call::Postpone {
            delivery: u32::try_from(dice.roll(4)).unwrap_or(0),
            by: fixture::LONG * u32::from(dice.roll(2) == 0),
        },
        32 => Call::Delivered,
        20 if dice.roll(3) == 0 => Call::Withdraw,
        _ => Call::Delete {
            how: match dice.roll(4) {
                0 => DeleteMode::Now,
                by => DeleteMode::Released(Holder(by % 2)),
            },
        },
    }
}

fn show(state: &SessionState) -> String {
    let lease = match state.lease {
        Lease::Held(left) => format!("held, {}", left > fixture::LONG / 2),
        other => format!("{other:?}"),
    };
    let SessionState {
        meta,
        attempts,
        tail,
        status,
        abort,
        answers,
        ..
    } = state;
    let counter = state.epoch.counter;
    format!("{meta:?} {counter} {attempts} {tail} {status} {abort:?} {lease} {answers}")
}

fn show_ending(ending: &PendingEnding) -> String {
    let PendingEnding {
        id: _,
        state,
        request,
        deleted,
        summary,
        delivery,
        expires_in,
    } = ending;
    let state = show(state);
    let whole = *expires_in > fixture::LONG;
    format!("ending {state} {request:?} {deleted} {summary:?} {delivery} {whole}")
}

fn show_page(page: &RecordPage, max_bytes: usize) -> String {
    let records: Vec<_> = page
        .chunks
        .iter()
        .flat_map(Chunk::records)
        .map(|it| (it.lsn, it.epoch.counter, it.bytes.len()))
        .collect();
    // A store chooses the end of a page within bounds.
    let bytes: usize = page.chunks.iter().map(Chunk::bytes).sum();
    assert!(bytes <= max_bytes || records.len() == 1);
    format!("read {:?} {}", records.first(), show(&page.state))
}

fn word(error: &StoreError) -> String {
    format!("{error:?}")
}

/// Returns the result of a call without the parts that may differ, and records new epochs.
async fn answer(
    store: &dyn Store,
    id: &SessionId,
    call: &Call,
    at: usize,
    epochs: &mut Vec<Epoch>,
) -> String {
    // Sometimes a stale epoch.
    let epoch = match at % 5 {
        0 => epochs.iter().rev().nth(1).or(epochs.last()),
        _ => epochs.last(),
    };
    let epoch = epoch.copied().unwrap_or(Epoch {
        counter: 1,
        bits: 7,
    });
    match call.clone() {
        Call::Create { token, outbox } => {
            let mut new = fixture::new_of("an owner");
            new.token = Token(token);
            let meta = Arc::make_mut(&mut new.meta);
            // A service of its own has only the ending of this session.
            meta.service = ServiceName::new(id.as_str());
            meta.outbox = outbox.then_some(2 * fixture::LONG);
            match store.create(id, new).await {
                Ok(Created::Created(epoch)) => {
                    if !epochs.contains(&epoch) {
                        epochs.push(epoch);
                    }
                    format!("created {}", epoch.counter)
                }
                Ok(Created::Exists(state)) => format!("exists {}", show(&state)),
                Err(error) => word(&error),
            }
        }
        Call::Claim { token } => match store.claim(id, epoch, Token(token), fixture::LONG).await {
            Ok(claimed) => {
                if !epochs.contains(&claimed.epoch) {
                    epochs.push(claimed.epoch);
                }
                format!("claimed {} {:?}", show(&claimed.state), claimed.request)
            }
            Err(error) => word(&error),
        },
        Call::Renew { lease } => {
            let mut answers = store.renew(&[(id.clone(), epoch)], lease).await;
            match answers.remove(0) {
                Ok(state) => format!("renewed {}", show(&state)),
                Err(error) => word(&error),
            }
        }
        Call::Append {
            first,
            count,
            size,
            then,
        } => {
            let mut batch = ChunkBuilder::new();
            for lsn in first..first + count {
                batch.push(format!("{lsn} at {at} {}", "x".repeat(size)).as_bytes());
            }
            let chunk = batch
                .take(Lsn::new(first), epoch)
                .expect("there are records");
            match store.append(id, chunk, then).await {
                Ok(appended) => format!("appended {:?}", appended.abort),
                Err(error) => word(&error),
            }
        }
        Call::Read {
            lsn,
            tagged,
            max_bytes,
        } => {
            let lsn = Lsn::new(lsn);
            let mut after = Position::after(lsn);
            after.tag = tagged.then(|| epoch.tag());
            match store.read(id, after, max_bytes).await {
                Ok(page) => show_page(&page, max_bytes),
                Err(error) => word(&error),
            }
        }
        Call::Look => match store.state(id).await {
            Ok(state) => show(&state),
            Err(error) => word(&error),
        },
        Call::Abort { reason } => match store.abort(id, AbortRequest { reason }).await {
            Ok(state) => show(&state),
            Err(error) => word(&error),
        },
        Call::Answer { name, content } => {
            let given = StoredAnswer::new(format!("name {name}"), content.to_string());
            match store.answer(id, given).await {
                Ok(AnswerOutcome::Stored(state)) => format!("answered {}", show(&state)),
                Ok(AnswerOutcome::Taken) => "taken".to_owned(),
                Err(error) => word(&error),
            }
        }
        Call::Answers { after } => match store.answers(id, after).await {
            Ok(answers) => format!("answers {answers:?}"),
            Err(error) => word(&error),
        },
        Call::Hold { by, keep } => format!("{:?}", store.hold(id, Holder(by), keep).await),

        Call::Delete { how } => format!("{:?}", store.delete(id, how).await),
        Call::Withdraw => withdraw(store, id, epoch).await,
        outbox => outbox_answer(store, id, &outbox, epoch).await,
    }
}

async fn withdraw(store: &dyn Store, id: &SessionId, epoch: Epoch) -> String {
    match store.delete(id, DeleteMode::Withdrawn(epoch)).await {
        Ok(()) => "withdrawn".to_owned(),
        Err(error) => word(&error),
    }
}

/// Makes a call of the outbox.
async fn outbox_answer(store: &dyn Store, id: &SessionId, call: &Call, epoch: Epoch) -> String {
    match *call {
        Call::Endings { lease } => {
            let service = ServiceName::new(id.as_str());
            match store.endings(&service, 9, lease).await {
                Ok(endings) => endings.iter().map(show_ending).collect(),
                Err(error) => word(&error),
            }
        }
        Call::Postpone { delivery, by } => match store.postpone_ending(id, delivery, by).await {
            Ok(()) => "postponed".to_owned(),
            // A session that is gone has none either.
            Err(StoreError::NotFound | StoreError::Gone(_)) => "absent".to_owned(),
            Err(error) => word(&error),
        },
        _ => format!("{:?}", store.delivered(id, epoch).await),
    }
}

/// Returns all records and their epochs.
async fn log(store: &dyn Store, id: &SessionId) -> Vec<(u64, String)> {
    let mut log = Vec::new();
    let mut at = Position::START;
    while let Ok(page) = store.read(id, at, 300).await {
        for record in page.chunks.iter().flat_map(Chunk::records) {
            assert_eq!(record.lsn, at.lsn.next());
            at = Position::tagged(record.lsn, record.epoch.tag());
            let text = String::from_utf8_lossy(record.bytes).into_owned();
            log.push((record.epoch.counter, text));
        }
        if at.lsn == page.state.tail {
            break;
        }
    }
    log
}

async fn any_order() -> Result<(), Failed> {
    let server = Server::start(&[]).await;
    let redis = server.open(support::options()).await;
    let memory = Memory::new();
    let seed = u64::try_from(Token::random().0 >> 64)? | 1;
    let mut dice = Dice(seed);
    let mut kinds = std::collections::HashMap::<String, u32>::new();
    for round in 0..150 {
        let id = SessionId::random();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut calls = Vec::new();
        for at in 0..50 {
            let tail = memory.state(&id).await.map_or(0, |state| state.tail.get());
            let call = match at {
                0 => Call::Create {
                    token: 0,
                    outbox: round % 3 > 0,
                },
                _ => call(&mut dice, tail),
            };
            calls.push(call.clone());
            let is = answer(&redis, &id, &call, at, &mut ours).await;
            let should = answer(&memory, &id, &call, at, &mut theirs).await;
            assert_eq!(is, should, "seed {seed}, round {round}, after {calls:#?}");
            let kind = is.split([' ', '{', '(']).next().unwrap_or_default();
            *kinds.entry(kind.to_owned()).or_default() += 1;
        }
        assert_eq!(
            log(&redis, &id).await,
            log(&memory, &id).await,
            "seed {seed}"
        );
    }
    // The comparison needs every kind of result.
    for kind in [
        "created",
        "exists",
        "claimed",
        "renewed",
        "appended",
        "read",
        "answered",
        "withdrawn",
        "taken",
        "answers",
        "Gone",
        "Held",
        "Fenced",
        "Sealed",
        "Conflict",
        "Rewound",
        "Ok",
        "Err",
        "ending",
        "postponed",
        "absent",
    ] {
        assert!(kinds.contains_key(kind), "no {kind} among {kinds:?}");
    }
    Ok(())
}
