//! Two servers, and clients that switch between them every few events.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, future::join_all, stream};
use libtest_mimic::Trial;
use unbroken::log::SessionId;

use crate::{
    kills::rounds,
    support::{
        Checked, Error,
        call_log::CallLog,
        client::{AnswerSpec, ask, read, read_until, send, start, start_after},
        cluster::Cluster,
        engine::Engine,
        received::{Policy, Promise, Received, Violation},
        rng::Rng,
    },
};

const ANSWERS: usize = 200;
const CONCURRENT: usize = 16;
const SPEC: AnswerSpec = AnswerSpec::tokens(40, 5);
const LEASE: Duration = Duration::from_secs(10);
/// The number of identical requests at once.
const POSTS: usize = 100;
const SHARED_SPEC: AnswerSpec = AnswerSpec::tokens(10, 20);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::SHARED {
        trials.push(engine.trial(
            "a_client_that_switches_servers_receives_every_event_once",
            switches,
        ));
        trials.push(engine.trial("a_body_that_ends_early_is_detected", early_end));
        trials.push(engine.trial("a_hundred_posts_at_once_call_the_provider_once", posts));
        trials.push(engine.trial("a_second_call_of_the_provider_is_detected", second_call));
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

async fn early_end(engine: Engine) -> Checked {
    check_detected(
        switch(engine, CONCURRENT, "ends-early").await,
        Promise::Ending,
    )
}

fn check_detected<T>(result: Result<T, Error>, promise: Promise) -> Checked {
    let Err(error) = result else {
        return Err("the fault was not detected".into());
    };
    match error.downcast_ref::<Violation>() {
        Some(violation) if violation.promise == promise => Ok(()),
        _ => Err(format!("another promise was broken: {error}").into()),
    }
}

/// Returns the number of pieces in which the answers were read. The second server has the fault.
async fn switch(engine: Engine, answers: usize, fault: &'static str) -> Result<usize, Error> {
    let cluster = Cluster::new(engine, LEASE, Policy::Fail.name())?;
    let (one, two) = (cluster.start().await?, cluster.start_with(fault).await?);
    let servers = [one.addr, two.addr];
    let read = stream::iter(0..answers)
        .map(|_| answer(&cluster.call_log, servers))
        .buffer_unordered(CONCURRENT)
        .try_fold(0, async |sum, pieces| Ok(sum + pieces))
        .await;
    drop((one, two));
    cluster.clean_up().await?;
    read
}

async fn answer(call_log: &CallLog, servers: [SocketAddr; 2]) -> Result<usize, Error> {
    let (id, mut rng) = (SessionId::random(), Rng::new());
    let id = id.as_str();
    let (mut received, mut pieces) = (Received::default(), 0);
    while !received.has_ended() {
        let server = servers[rng.index(2)];
        let request = match (received.last(), rng.below(4)) {
            (None, _) | (_, 0) => start(id, SPEC),
            (Some(last), 1) => start_after(id, SPEC, last),
            (last, _) => read(id, last),
        };
        let most = received.0.len() + 1 + rng.index(8);
        read_piece(server, request, &mut received, most).await?;
        pieces += 1;
    }
    for server in servers {
        let after = send(server, read(id, received.last())).await;
        if after.map(|answer| answer.status().as_u16()).ok() != Some(204) {
            return Err(Promise::Ending
                .violated("an event after the terminal event")
                .into());
        }
        for request in [read(id, None), start(id, SPEC)] {
            let mut whole = received.clone();
            read_piece(server, request, &mut whole, usize::MAX).await?;
        }
    }
    received.check_single_writer()?;
    received.check_answer(SPEC.tokens, Policy::Fail)?;
    if received.last().is_none_or(|last| last.kind() != "complete") {
        return Err(Promise::Answer
            .violated(format!("it ended with {:?}", received.last()))
            .into());
    }
    check_called_once(call_log, id)?;
    Ok(pieces)
}

/// Reads until this number of events is received, or to the clean end of the body.
async fn read_piece(
    server: SocketAddr,
    request: http::Request<http_body_util::Full<bytes::Bytes>>,
    received: &mut Received,
    most: usize,
) -> Result<(), Error> {
    let mut answer = ask(server, request).await?;
    read_until(&mut answer, received, |received| received.0.len() >= most).await
}

fn check_called_once(call_log: &CallLog, id: &str) -> Result<(), Violation> {
    match &call_log.calls(id)[..] {
        [_] => Ok(()),
        calls => Err(Promise::ProviderCalls.violated(format!("{calls:?}"))),
    }
}

async fn posts(engine: Engine) -> Checked {
    let began = Instant::now();
    let (mut called, mut withdrawn) = (0, 0);
    while called < 5 {
        if post(engine, SHARED_SPEC, "none").await? {
            called += 1;
        } else {
            withdrawn += 1;
        }
        if withdrawn > 5 {
            return Err("the store is too slow for starts".into());
        }
    }
    println!(
        "{}: {POSTS} identical requests to two servers, 5 times, one call each time, {withdrawn} times none; {:?}",
        engine.name(),
        began.elapsed()
    );
    Ok(())
}

async fn second_call(engine: Engine) -> Checked {
    // A second start counts as a repetition of the first only while the log has no further record.
    let spec = AnswerSpec::tokens(3, 100);
    for _ in 0..20 {
        if let Err(error) = post(engine, spec, "starts-twice").await {
            return check_detected::<()>(Err(error), Promise::ProviderCalls);
        }
    }
    Err("the fault was not detected".into())
}

/// Sends the requests, and returns true if the provider was called. If the store was too slow for the
/// first start, that is refused and withdrawn, or its lease runs out before the first record: nothing is called, and the
/// others see an interrupted answer.
async fn post(engine: Engine, spec: AnswerSpec, fault: &'static str) -> Result<bool, Error> {
    let cluster = Cluster::new(engine, LEASE, Policy::Fail.name())?.fault(fault);
    let (one, two) = (cluster.start().await?, cluster.start().await?);
    let (id, began) = (SessionId::random(), Instant::now());
    let answers = join_all((0..POSTS).map(async |at| {
        let server = if at % 2 == 0 { &one } else { &two };
        let mut received = Received::default();
        read_piece(
            server.addr,
            start(id.as_str(), spec),
            &mut received,
            usize::MAX,
        )
        .await?;
        Ok::<_, Error>(received)
    }));
    let answers = answers.await;
    let took = began.elapsed();
    let is_called = !cluster.call_log.calls(id.as_str()).is_empty();
    let calls = check_called_once(&cluster.call_log, id.as_str());
    drop((one, two));
    cluster.clean_up().await?;
    // Without a refusal, only a lease that ran out before the first record explains that nothing was called.
    if !is_called && (took >= LEASE || answers.iter().any(Result::is_err)) {
        for answer in answers.into_iter().flatten() {
            let [only] = &answer.0[..] else {
                return Err(Promise::ProviderCalls.violated("none".to_owned()).into());
            };
            assert_eq!(only.data["code"], "interrupted");
        }
        return Ok(false);
    }
    if !is_called {
        eprintln!("no call, after {took:?}: {answers:?}");
    }
    calls?;
    let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    answers[0].check_answer(spec.tokens, Policy::Fail)?;
    for answer in &answers {
        assert_eq!(*answer, answers[0]);
    }
    Ok(true)
}
