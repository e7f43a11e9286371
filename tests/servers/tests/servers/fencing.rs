//! The server that writes is paused for two leases, another one takes its answers over, and then the
//! first one resumes in the middle of its provider's stream.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use tokio::time::sleep;
use unbroken::log::SessionId;

use crate::{
    kills::rounds,
    support::{
        Checked, Error, all,
        client::{Answer, AnswerSpec, ask, plain, read, read_until, start},
        cluster::Cluster,
        engine::Engine,
        received::{Event, Policy, Promise, Received, Violation},
        rng::Rng,
        server::Server,
    },
};

const ROUNDS: usize = 200;
const LANES: usize = 10;
/// The number of answers that the paused server writes.
const ANSWERS: usize = 2;
const TOKENS: usize = 60;
const DELAY_MS: u64 = 8;
const LEASE: Duration = Duration::from_millis(600);

/// The longest pause of a round that counts. After longer ones, on a busy machine, a server
/// disconnects its readers: to it the store was unavailable.
const MAX_PAUSE: Duration = Duration::from_secs(5);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::SHARED {
        trials.push(engine.trial("a_former_owner_that_resumes_writes_nothing", pauses));
        trials.push(engine.trial("a_store_without_fencing_is_detected", unfenced));
    }
    trials
}

async fn pauses(engine: Engine) -> Checked {
    let rounds = rounds(ROUNDS);
    let began = Instant::now();
    let lanes = (0..LANES).map(|at| {
        let share = rounds / LANES + usize::from(at < rounds % LANES);
        lane(engine, share, 0..800, "none")
    });
    let stale: usize = all(lanes).await?.iter().sum();
    println!(
        "{}: an owner of {ANSWERS} answers was paused for two leases and resumed, {rounds} times; \
         {stale} times the new owner had written nothing by then; {:?}",
        engine.name(),
        began.elapsed()
    );
    Ok(())
}

async fn unfenced(engine: Engine) -> Checked {
    // The new owner writes nothing for the longest pause: a record of the former owner then extends the
    // log without a conflict.
    let silence = u64::try_from(MAX_PAUSE.as_millis())?;
    let result = lane(engine, 10, silence..silence + 1, "unfenced").await;
    let Err(error) = result else {
        return Err("the fault was not detected".into());
    };
    match error
        .downcast_ref::<Violation>()
        .map(|violation| violation.promise)
    {
        Some(Promise::SingleWriter | Promise::Durability) => Ok(()),
        _ => Err(format!("another promise was broken: {error}").into()),
    }
}

/// Runs rounds on a cluster of its own, and returns the number of those in which the new owner had
/// written nothing when the former one resumed. Its provider is silent for this range of milliseconds.
async fn lane(
    engine: Engine,
    rounds: usize,
    silence: Range<u64>,
    fault: &'static str,
) -> Result<usize, Error> {
    let cluster = Cluster::new(engine, LEASE, Policy::Resume.name())?.fault(fault);
    let ran = run_rounds(&cluster, rounds, silence).await;
    cluster.clean_up().await?;
    ran
}

async fn run_rounds(cluster: &Cluster, rounds: usize, silence: Range<u64>) -> Result<usize, Error> {
    let mut rng = Rng::new();
    let (mut here, mut there) = (cluster.start().await?, cluster.start().await?);
    let (mut done, mut silent) = (0, 0);
    let tries = rounds * 4;
    for _ in 0..tries {
        if done == rounds {
            return Ok(silent);
        }
        let silence = silence.start + rng.below(silence.end - silence.start);
        if let Some(was_silent) = round(cluster, &here, &there, silence, &mut rng).await? {
            done += 1;
            silent += usize::from(was_silent);
        }
        if rng.below(2) == 0 {
            std::mem::swap(&mut here, &mut there);
        }
    }
    Err(format!("the owner was paused {done} times in {tries} tries").into())
}

/// An answer, and its readers on both servers.
struct StartedAnswer {
    id: SessionId,
    here: (Answer, Received),
    there: Option<Answer>,
}

/// Pauses the owner once, and returns true if the new owner had written nothing when it resumed.
///
/// Returns `None` if the round does not count: the paused server was not the owner, had just ended an
/// answer, or was paused for too long.
async fn round(
    cluster: &Cluster,
    here: &Server,
    there: &Server,
    silence_ms: u64,
    rng: &mut Rng,
) -> Result<Option<bool>, Error> {
    let spec = AnswerSpec {
        resume_ms: silence_ms,
        ..AnswerSpec::tokens(TOKENS, DELAY_MS)
    };
    let mut answers = Vec::new();
    for at in 0..ANSWERS {
        let id = SessionId::random();
        let answer = ask(here.addr, start(id.as_str(), spec)).await?;
        // A reader on the other server takes the session over sooner than the sweep.
        let there = match at {
            0 => Some(ask(there.addr, read(id.as_str(), None)).await?),
            _ => None,
        };
        answers.push(StartedAnswer {
            id,
            here: (answer, Received::default()),
            there,
        });
    }
    let count = 1 + usize::try_from(rng.below(12))?;
    for StartedAnswer {
        here: (answer, received),
        ..
    } in &mut answers
    {
        read_until(answer, received, |received| {
            received.tokens().count() >= count
        })
        .await?;
        if received.tokens().any(|token| token.server != here.name) {
            return Ok(None);
        }
    }
    here.pause()?;
    let paused = Instant::now();
    sleep(LEASE * 2).await;
    let mut before = Vec::new();
    let mut silent = true;
    for StartedAnswer { id, .. } in &answers {
        let id = id.as_str();
        if !taken_over(cluster, there, id).await? {
            here.resume()?;
            return Ok(None);
        }
        let mut so_far = ask(there.addr, read(id, None)).await?;
        let tail = so_far
            .header("x-session-tail")
            .and_then(|tail| tail.parse().ok());
        let tail: usize = tail.ok_or("no tail")?;
        let mut received = Received::default();
        read_until(&mut so_far, &mut received, |received| {
            received.0.len() >= tail
        })
        .await?;
        silent &= received.tags().len() == 1;
        before.push((received, tail));
    }
    here.resume()?;
    if paused.elapsed() > MAX_PAUSE {
        return Ok(None);
    }
    for (mut started, (before, tail)) in answers.into_iter().zip(before) {
        let (answer, received) = &mut started.here;
        let read_on = read_until(answer, received, Received::has_ended).await;
        let mut whole = Received::default();
        let mut all = match started.there {
            Some(answer) => answer,
            None => ask(there.addr, read(started.id.as_str(), None)).await?,
        };
        read_until(&mut all, &mut whole, Received::has_ended).await?;
        let owner = before.0.first().map(Event::tag).unwrap_or_default();
        let mut after = whole.0.iter().skip(tail);
        if let Some(stale) = after.find(|event| event.tag() == owner) {
            let how = format!("the former owner wrote {stale:?} after the take-over");
            return Err(Promise::SingleWriter.violated(how).into());
        }
        whole.check_single_writer()?;
        before.check_prefix_of(&whole)?;
        received.check_prefix_of(&whole)?;
        read_on?;
        whole.check_answer(TOKENS, Policy::Resume)?;
        let calls = cluster.call_log.calls(started.id.as_str());
        let first = calls.iter().filter(|call| call.tokens == 0).count();
        if first != 1 || calls.len() > whole.tags().len() + 1 {
            return Err(Promise::ProviderCalls.violated(format!("{calls:?}")).into());
        }
    }
    Ok(Some(silent))
}

/// Waits until the other server has called its provider for the session. Returns false if the session
/// ended before, or after [`MAX_PAUSE`].
async fn taken_over(cluster: &Cluster, there: &Server, id: &str) -> Result<bool, Error> {
    let taken_over = async {
        loop {
            let calls = cluster.call_log.calls(id);
            if calls.iter().any(|call| call.server == there.name) {
                return Ok(true);
            }
            let state = ask(there.addr, plain("HEAD", &format!("/{id}"))).await?;
            if state.header("x-session-status") != Some("streaming") {
                return Ok(false);
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    // On a machine that is too busy for such short leases, servers wait longer before they claim.
    let taken_over = tokio::time::timeout(MAX_PAUSE, taken_over).await;
    taken_over.unwrap_or(Ok(false))
}
