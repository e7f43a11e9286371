//! Two servers, and clients that go from one to the other every few events.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use libtest_mimic::Trial;
use unbroken::log::SessionId;

use crate::{
    kills::rounds,
    support::{
        Checked, Error, all,
        calls::Journal,
        client::{Say, ask, read, restart, send, start, take_until},
        dice::Dice,
        engine::Engine,
        log::{Broken, Policy, Promise, Seen},
        team::Team,
    },
};

const ANSWERS: usize = 200;
const AT_ONCE: usize = 16;
const SAY: Say = Say::tokens(40, 5);
const LEASE: Duration = Duration::from_secs(10);
/// Identical requests that come at the same time.
const POSTS: usize = 100;
const SAY_TO_ALL: Say = Say::tokens(10, 20);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::SHARED {
        trials.push(engine.trial("who_switches_servers_sees_every_event_once", switches));
        trials.push(engine.trial("the_check_notices_an_early_end", ended_early));
        trials.push(engine.trial("a_hundred_posts_at_once_call_one_provider", posts));
        trials.push(engine.trial("the_check_notices_posts_that_call_two", posted_twice));
    }
    trials
}

async fn switches(engine: Engine) -> Checked {
    let began = Instant::now();
    let answers = rounds(ANSWERS);
    let switched = switch(engine, answers, "none").await?;
    println!(
        "{}: {answers} answers, read in {switched} pieces from two servers; {:?}",
        engine.name(),
        began.elapsed()
    );
    assert!(switched > 3 * answers);
    Ok(())
}

async fn ended_early(engine: Engine) -> Checked {
    noticed(switch(engine, AT_ONCE, "ends-early").await, Promise::Ending)
}

fn noticed<T>(told: Result<T, Error>, promise: Promise) -> Checked {
    let Err(error) = told else {
        return Err("nobody noticed".into());
    };
    match error.downcast_ref::<Broken>() {
        Some(broken) if broken.promise == promise => Ok(()),
        _ => Err(format!("it was noticed for another reason: {error}").into()),
    }
}

/// Gives in how many pieces they were read. The second server has the fault.
async fn switch(engine: Engine, answers: usize, fault: &'static str) -> Result<usize, Error> {
    let team = Team::new(engine, LEASE, Policy::Fail.name())?;
    let (one, two) = (team.start().await?, team.start_with(fault).await?);
    let servers = [one.addr, two.addr];
    let read = stream::iter(0..answers)
        .map(|_| answer(&team.journal, servers))
        .buffer_unordered(AT_ONCE)
        .try_fold(0, async |sum, pieces| Ok(sum + pieces))
        .await;
    drop((one, two));
    team.disband().await?;
    read
}

async fn answer(journal: &Journal, servers: [SocketAddr; 2]) -> Result<usize, Error> {
    let (id, mut dice) = (SessionId::random(), Dice::new());
    let id = id.as_str();
    let (mut seen, mut pieces) = (Seen::default(), 0);
    while !seen.is_over() {
        let server = servers[dice.index(2)];
        let request = match (seen.last(), dice.below(4)) {
            (None, _) | (_, 0) => start(id, SAY),
            (Some(last), 1) => restart(id, SAY, last),
            (last, _) => read(id, last),
        };
        let most = seen.0.len() + 1 + dice.index(8);
        piece(server, request, &mut seen, most).await?;
        pieces += 1;
    }
    for server in servers {
        let after = send(server, read(id, seen.last())).await;
        if after.map(|answer| answer.status().as_u16()).ok() != Some(204) {
            return Err(Promise::Ending.broken("something after the end").into());
        }
        for request in [read(id, None), start(id, SAY)] {
            let mut whole = seen.clone();
            piece(server, request, &mut whole, usize::MAX).await?;
        }
    }
    seen.has_one_writer_at_a_time()?;
    seen.is_an_answer(SAY.tokens, Policy::Fail)?;
    if seen.last().is_none_or(|last| last.kind() != "complete") {
        return Err(Promise::Answer
            .broken(format!("it ended with {:?}", seen.last()))
            .into());
    }
    called_once(journal, id)?;
    Ok(pieces)
}

/// Reads until so many events were seen, or to the clean end of the body.
async fn piece(
    server: SocketAddr,
    request: http::Request<http_body_util::Full<bytes::Bytes>>,
    seen: &mut Seen,
    most: usize,
) -> Result<(), Error> {
    let mut answer = ask(server, request).await?;
    take_until(&mut answer, seen, |seen| seen.0.len() >= most).await
}

fn called_once(journal: &Journal, id: &str) -> Result<(), Broken> {
    match &journal.calls(id)[..] {
        [_] => Ok(()),
        calls => Err(Promise::Calls.broken(format!("{calls:?}"))),
    }
}

async fn posts(engine: Engine) -> Checked {
    let began = Instant::now();
    for _ in 0..5 {
        post(engine, SAY_TO_ALL, "none").await?;
    }
    println!(
        "{}: {POSTS} identical requests to two servers, 5 times, one call each time; {:?}",
        engine.name(),
        began.elapsed()
    );
    Ok(())
}

async fn posted_twice(engine: Engine) -> Checked {
    // The second start passes for a repetition of the first while nothing else is in the log.
    let say = Say::tokens(3, 100);
    for _ in 0..20 {
        if let Err(error) = post(engine, say, "starts-twice").await {
            return noticed::<()>(Err(error), Promise::Calls);
        }
    }
    Err("nobody noticed".into())
}

async fn post(engine: Engine, say: Say, fault: &'static str) -> Checked {
    let team = Team::new(engine, LEASE, Policy::Fail.name())?.fault(fault);
    let (one, two) = (team.start().await?, team.start().await?);
    let id = SessionId::random();
    let answers = all((0..POSTS).map(async |at| {
        let server = if at % 2 == 0 { &one } else { &two };
        let mut seen = Seen::default();
        piece(server.addr, start(id.as_str(), say), &mut seen, usize::MAX).await?;
        Ok::<_, Error>(seen)
    }));
    let answers = answers.await;
    let calls = called_once(&team.journal, id.as_str());
    drop((one, two));
    team.disband().await?;
    calls?;
    let answers = answers?;
    answers[0].is_an_answer(say.tokens, Policy::Fail)?;
    for answer in &answers {
        assert_eq!(*answer, answers[0]);
    }
    Ok(())
}
