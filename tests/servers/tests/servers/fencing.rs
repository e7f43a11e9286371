//! The server that writes is stopped in mid-answer for two leases; another takes its answers over;
//! then the first one goes on, with its timers due and its provider in the middle of a word.

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
        client::{Answer, Say, ask, plain, read, start, take_until},
        dice::Dice,
        engine::Engine,
        log::{Broken, Event, Policy, Promise, Seen},
        server::Server,
        team::Team,
    },
};

const ROUNDS: usize = 200;
const LANES: usize = 10;
/// Answers that the stopped server is giving.
const ANSWERS: usize = 2;
const TOKENS: usize = 60;
const DELAY_MS: u64 = 8;
const LEASE: Duration = Duration::from_millis(600);

/// A stop of this length, on a machine that is too busy, makes a server give up its readers: for it
/// the store was silent.
const LONG: Duration = Duration::from_secs(5);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::SHARED {
        trials.push(engine.trial("a_stopped_owner_that_goes_on_writes_nothing", stops));
        trials.push(engine.trial("the_check_notices_a_store_without_fences", unfenced));
    }
    trials
}

async fn stops(engine: Engine) -> Checked {
    let rounds = rounds(ROUNDS);
    let began = Instant::now();
    let lanes = (0..LANES).map(|at| {
        let share = rounds / LANES + usize::from(at < rounds % LANES);
        lane(engine, share, 0..800, "none")
    });
    let stale: usize = all(lanes).await?.iter().sum();
    println!(
        "{}: an owner of {ANSWERS} answers was stopped for two leases and went on, {rounds} times; \
         {stale} times the other had written nothing by then; {:?}",
        engine.name(),
        began.elapsed()
    );
    Ok(())
}

async fn unfenced(engine: Engine) -> Checked {
    // The other one says nothing for as long as a stop may last that counts: whatever the first one
    // writes when it goes on fits to what is written.
    let silence = u64::try_from(LONG.as_millis())?;
    let told = lane(engine, 10, silence..silence + 1, "unfenced").await;
    let Err(error) = told else {
        return Err("nobody noticed".into());
    };
    match error.downcast_ref::<Broken>().map(|broken| broken.promise) {
        Some(Promise::Writer | Promise::Shown) => Ok(()),
        _ => Err(format!("it was noticed for another reason: {error}").into()),
    }
}

/// The new owner's provider is silent for so many milliseconds. Gives in how many rounds it had
/// written nothing when the former owner went on.
async fn lane(
    engine: Engine,
    rounds: usize,
    silence: Range<u64>,
    fault: &'static str,
) -> Result<usize, Error> {
    let team = Team::new(engine, LEASE, Policy::Resume.name())?.fault(fault);
    let ran = stop_and_go(&team, rounds, silence).await;
    team.disband().await?;
    ran
}

async fn stop_and_go(team: &Team, rounds: usize, silence: Range<u64>) -> Result<usize, Error> {
    let mut dice = Dice::new();
    let (mut here, mut there) = (team.start().await?, team.start().await?);
    let (mut done, mut silent) = (0, 0);
    let tries = rounds * 4;
    for _ in 0..tries {
        if done == rounds {
            return Ok(silent);
        }
        let silence = silence.start + dice.below(silence.end - silence.start);
        if let Some(said_nothing) = round(team, &here, &there, silence, &mut dice).await? {
            done += 1;
            silent += usize::from(said_nothing);
        }
        if dice.below(2) == 0 {
            std::mem::swap(&mut here, &mut there);
        }
    }
    Err(format!("the owner was stopped {done} times in {tries} tries").into())
}

/// An answer, and those who read it.
struct Given {
    id: SessionId,
    here: (Answer, Seen),
    there: Option<Answer>,
}

/// One stop. `None` if the stopped server wasn't the owner, had just ended an answer, or
/// was stopped for too long: then it showed nothing.
async fn round(
    team: &Team,
    here: &Server,
    there: &Server,
    silence_ms: u64,
    dice: &mut Dice,
) -> Result<Option<bool>, Error> {
    let say = Say {
        resume_ms: silence_ms,
        ..Say::tokens(TOKENS, DELAY_MS)
    };
    let mut given = Vec::new();
    for at in 0..ANSWERS {
        let id = SessionId::random();
        let answer = ask(here.addr, start(id.as_str(), say)).await?;
        // A reader on the other server takes it over sooner than its sweeper does.
        let there = match at {
            0 => Some(ask(there.addr, read(id.as_str(), None)).await?),
            _ => None,
        };
        given.push(Given {
            id,
            here: (answer, Seen::default()),
            there,
        });
    }
    let some = 1 + usize::try_from(dice.below(12))?;
    for Given {
        here: (answer, seen),
        ..
    } in &mut given
    {
        take_until(answer, seen, |seen| seen.tokens().count() >= some).await?;
        if seen.tokens().any(|token| token.who != here.who) {
            return Ok(None);
        }
    }
    here.stop()?;
    let stopped = Instant::now();
    sleep(LEASE * 2).await;
    let mut before = Vec::new();
    let mut silent = true;
    for Given { id, .. } in &given {
        let id = id.as_str();
        if !taken_over(team, there, id).await? {
            here.go_on()?;
            return Ok(None);
        }
        let mut so_far = ask(there.addr, read(id, None)).await?;
        let tail = so_far
            .header("x-session-tail")
            .and_then(|tail| tail.parse().ok());
        let tail: usize = tail.ok_or("no tail")?;
        let mut seen = Seen::default();
        take_until(&mut so_far, &mut seen, |seen| seen.0.len() >= tail).await?;
        silent &= seen.tags().len() == 1;
        before.push((seen, tail));
    }
    here.go_on()?;
    if stopped.elapsed() > LONG {
        return Ok(None);
    }
    for (mut given, (before, tail)) in given.into_iter().zip(before) {
        let (answer, seen) = &mut given.here;
        let read_on = take_until(answer, seen, Seen::is_over).await;
        let mut whole = Seen::default();
        let mut all = match given.there {
            Some(answer) => answer,
            None => ask(there.addr, read(given.id.as_str(), None)).await?,
        };
        take_until(&mut all, &mut whole, Seen::is_over).await?;
        let owner = before.0.first().map(Event::tag).unwrap_or_default();
        let mut after = whole.0.iter().skip(tail);
        if let Some(stale) = after.find(|event| event.tag() == owner) {
            let how = format!("after the take-over came {stale:?}");
            return Err(Promise::Writer.broken(how).into());
        }
        whole.has_one_writer_at_a_time()?;
        before.is_in(&whole)?;
        seen.is_in(&whole)?;
        read_on?;
        whole.is_an_answer(TOKENS, Policy::Resume)?;
        let calls = team.journal.calls(given.id.as_str());
        let first = calls.iter().filter(|call| call.said == 0).count();
        if first != 1 || calls.len() > whole.tags().len() + 1 {
            return Err(Promise::Calls.broken(format!("{calls:?}")).into());
        }
    }
    Ok(Some(silent))
}

/// Waits until the other server has called its provider for it; false if it was over before, or if
/// that takes too long.
async fn taken_over(team: &Team, there: &Server, id: &str) -> Result<bool, Error> {
    let taken_over = async {
        loop {
            let calls = team.journal.calls(id);
            if calls.iter().any(|call| call.who == there.who) {
                return Ok(true);
            }
            let state = ask(there.addr, plain("HEAD", &format!("/{id}"))).await?;
            if state.header("x-session-status") != Some("streaming") {
                return Ok(false);
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    // A machine that is too busy for such short leases makes servers wait longer before they claim.
    let taken_over = tokio::time::timeout(LONG, taken_over).await;
    taken_over.unwrap_or(Ok(false))
}
